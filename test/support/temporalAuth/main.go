// A real Temporal server for the tests that authenticates callers, in memory: whoever brings a JSON Web Token is whom it names, as with the
// server's own claim mapper; whoever brings none may do everything too, and is nobody.
//
//	temporald JWKS_URL
//
// Prints {"address": …, "namespace": …} once it serves, and ends when its standard input does.
package main

import (
	"encoding/json"
	"io"
	"log"
	"os"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	serverlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/temporal"
	"go.temporal.io/server/temporaltest"
)

type orNobody struct{ jwt authorization.ClaimMapper }

func (mapper orNobody) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	if info == nil || info.AuthToken == "" {
		return &authorization.Claims{System: authorization.RoleAdmin}, nil
	}
	return mapper.jwt.GetClaims(info)
}

// Asked of callers without a token too.
func (orNobody) AuthInfoRequired() bool { return false }

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: temporald JWKS_URL")
	}
	settings := &config.Authorization{
		JWTKeyProvider:       config.JWTKeyProvider{KeySourceURIs: []string{os.Args[1]}},
		PermissionsClaimName: "permissions",
	}
	logger := serverlog.NewNoopLogger()
	keys := authorization.NewDefaultTokenKeyProvider(settings, logger)
	mapper := orNobody{authorization.NewDefaultJWTClaimMapper(keys, settings, logger)}
	set := func(value any) []dynamicconfig.ConstrainedValue {
		return []dynamicconfig.ConstrainedValue{{Value: value}}
	}
	server := temporaltest.NewServer(temporaltest.WithBaseServerOptions(
		temporal.WithAuthorizer(authorization.NewDefaultAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return mapper }),
		temporal.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.EnablePrincipalPropagation.Key():               set(true),
			dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): set(true),
		}),
	))
	said := map[string]string{"address": server.GetFrontendHostPort(), "namespace": server.GetDefaultNamespace()}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
	// A test that is killed closes it, too.
	_, _ = io.Copy(io.Discard, os.Stdin)
}
