/** The section `dashboard`: its shape, what holds between its keys, and what they come to. */
import * as z from 'zod';
import { isLoopback } from '../core/api.ts';
import {
  dashboardDefaults,
  type DashboardConfig,
  type ClaimsConfig,
  type JwtConfig,
  type OidcConfig,
} from '../core/dashboard.ts';
import { parseDuration } from '../core/duration.ts';
import { listenExpected, listenPattern, parseListen, type ListenAddress } from '../core/listen.ts';
import type { Mapping } from '../settings/mapping.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import { duration, flag, list, section, text } from '../settings/shapes.ts';

const listenExpectation = `expected ${listenExpected}`;
const urlExpectation = 'expected an http:// or https:// address without query, fragment and credentials';

const address = () =>
  z
    .string({ error: urlExpectation })
    .max(2048, { error: urlExpectation })
    .refine(isPlainUrl, { error: urlExpectation });

function isPlainUrl(written: string): boolean {
  if (!/^https?:\/\//.test(written) || !URL.canParse(written)) return false;
  const { search, hash, username, password } = new URL(written);
  return search + hash + username + password === '';
}

const name = (what: string) => text({ min: 1, max: 255 }, what);
const values = () =>
  list(name('a value of the claim'), { min: 1, max: 100 }, 'values of the claim').optional();

const claims = {
  nameClaim: name('a claim').optional().describe('Names the person. Default email.'),
  groupsClaim: name('a claim').optional().describe('What the lists are compared with. Default groups.'),
  viewer: values().describe('Who may look.'),
  operator: values().describe('Who may resolve letters and steer destinations.'),
  admin: values().describe('Who may see and revoke tokens besides.'),
  payloads: values().describe('Who may look at payloads, whatever else they may.'),
};

const jwtSchema = section({
  header: z
    .string({ error: 'expected the name of a request header' })
    .regex(/^[A-Za-z0-9-]{1,100}$/, { error: 'expected the name of a request header' })
    .optional()
    .describe('Which request header has it. Default authorization.'),
  jwks: address().describe("Where the issuer's public keys are."),
  issuer: name('an issuer').describe('What the claim iss has to be.'),
  audience: name('an audience').describe('What the claim aud has to have.'),
  ...claims,
});

const issuerExpectation = 'expected an https:// address, or http:// at a loopback address';
const secretExpectation = 'expected env:NAME: this secret never stands in the file';

const oidcSchema = section({
  issuer: address()
    .refine((written) => written.startsWith('https:') || isLoopback(hostOf(written)), {
      error: issuerExpectation,
    })
    .describe('The OpenID provider; /.well-known/openid-configuration is beneath it.'),
  clientId: name('a client id').describe('What the provider knows this dashboard by.'),
  clientSecret: z
    .string({ error: secretExpectation })
    .regex(/^env:[A-Za-z_][A-Za-z0-9_]*$/, { error: secretExpectation })
    .describe('The secret that goes with it: env:NAME.'),
  scope: name('scopes').optional().describe('What is asked for. Default openid profile email.'),
  label: text({ min: 1, max: 60 }, 'a short label').optional().describe('On the button. Default OpenID.'),
  session: duration({ min: 60_000, max: 30 * 86_400_000 })
    .optional()
    .describe('After that one signs in again. Default 8h.'),
  ...claims,
});

function hostOf(written: string): string {
  return URL.canParse(written) ? new URL(written).hostname : '';
}

export const dashboardSchema = section({
  listen: z
    .string({ error: listenExpectation })
    .regex(listenPattern, { error: listenExpectation, abort: true })
    .refine((written) => parseListen(written) !== null, { error: listenExpectation })
    .optional()
    .describe('Default 127.0.0.1:8800.'),
  url: address().optional().describe('How people reach it, with the path that a proxy puts in front.'),
  title: text({ min: 1, max: 100 }, 'a short title')
    .optional()
    .describe('What the page calls this outbox. Default: name.'),
  production: flag().optional().describe('Marks the page. Default false.'),
  temporalUi: address().optional().describe('Where the Temporal UI is. Default: TEMPORAL_UI_URL.'),
  signIn: section({
    tokens: flag().optional().describe('By tokens of `temporal-outbox tokens make`. Default true.'),
    jwt: jwtSchema.optional().describe('By a JSON Web Token that a proxy adds to each request.'),
    oidc: oidcSchema.optional().describe('At an OpenID provider.'),
  })
    .optional()
    .describe('Without it only a loopback address may be listened at.'),
});

export type DashboardInput = z.infer<typeof dashboardSchema>;

export function checkDashboard(dashboard: Mapping, { findings }: RuleContext): void {
  const signIn = dashboard['signIn'] as { readonly oidc?: unknown } | undefined;
  if (signIn?.oidc !== undefined && dashboard['url'] === undefined)
    findings.problem(
      ['dashboard', 'signIn', 'oidc'],
      'expected dashboard.url beside it: the provider sends people back there',
    );
  const written = dashboard['listen'] ?? dashboardDefaults.listen;
  const listen = typeof written === 'string' ? parseListen(written) : null;
  if (listen === null || isLoopback(listen.host) || dashboard['signIn'] !== undefined) return;
  findings.problem(
    ['dashboard', 'listen'],
    'expected a loopback address such as 127.0.0.1, or signIn: anybody who reaches the port could resolve letters',
    'OUTBOX_DASHBOARD_UNPROTECTED',
  );
}

export function normaliseDashboard(input: DashboardInput): DashboardConfig {
  const { listen = dashboardDefaults.listen, signIn } = input;
  return {
    listen: parseListen(listen) as ListenAddress,
    url: input.url?.replace(/\/+$/, '') ?? null,
    title: input.title ?? null,
    production: input.production ?? false,
    temporalUi: input.temporalUi ?? null,
    signIn:
      signIn === undefined
        ? null
        : {
            tokens: signIn.tokens ?? true,
            jwt: signIn.jwt === undefined ? null : normaliseJwt(signIn.jwt),
            ...(signIn.oidc === undefined ? {} : { oidc: normaliseOidc(signIn.oidc) }),
          },
  };
}

function normaliseJwt(input: NonNullable<NonNullable<DashboardInput['signIn']>['jwt']>): JwtConfig {
  const { jwt } = dashboardDefaults;
  const { jwks, issuer, audience } = input;
  return {
    header: (input.header ?? jwt.header).toLowerCase(),
    ...{ jwks, issuer, audience },
    ...normaliseClaims(input),
  };
}

function normaliseOidc(input: NonNullable<NonNullable<DashboardInput['signIn']>['oidc']>): OidcConfig {
  const { oidc } = dashboardDefaults;
  const { issuer, clientId, clientSecret, scope = oidc.scope, label = oidc.label } = input;
  return {
    ...{ issuer, clientId, clientSecret, scope, label },
    sessionMs:
      input.session === undefined ? oidc.sessionMs : (parseDuration(input.session) ?? oidc.sessionMs),
    ...normaliseClaims(input),
  };
}

type ClaimsInput = { readonly [Key in keyof ClaimsConfig]?: ClaimsConfig[Key] | undefined };

function normaliseClaims(input: ClaimsInput): ClaimsConfig {
  const { nameClaim, groupsClaim } = dashboardDefaults.jwt;
  const { viewer = [], operator = [], admin = [], payloads = [] } = input;
  return {
    nameClaim: input.nameClaim ?? nameClaim,
    groupsClaim: input.groupsClaim ?? groupsClaim,
    ...{ viewer, operator, admin, payloads },
  };
}
