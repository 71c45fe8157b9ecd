/** A token endpoint made ready to be asked: address expanded, client and secret read. */
import type { ClientCredentialsConfig } from '../../../core/httpCredentials.ts';
import type { SecretSource } from '../../../core/secrets.ts';
import { showUrl } from '../../../core/shownUrl.ts';
import type { ConnectorOptions } from '../connector.ts';
import { basicOf, type KnownSecrets } from '../knownSecrets.ts';
import { TlsFiles } from '../tlsFiles.ts';
import { destinationUrl, requestTarget } from '../url.ts';
import type { TokenEndpoint } from './tokenRequest.ts';

/** By the destination's proxy, with certificates of its own. */
export function readTokenEndpoint(
  { tokenUrl, clientId, clientSecret, scope, audience, sendAs, tls }: ClientCredentialsConfig,
  connect: ConnectorOptions,
  source: SecretSource,
  secrets: KnownSecrets,
  now: () => number,
): TokenEndpoint {
  const url = destinationUrl(tokenUrl, source.env, 'auth.oauth2.tokenUrl');
  const shown = showUrl(url, tokenUrl);
  for (const secret of shown.secrets) secrets.remember(secret);
  const [id, secret] = [secrets.resolve(clientId), secrets.read(clientSecret)];
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  if (scope !== null) form.set('scope', scope);
  if (audience !== null) form.set('audience', audience);
  const headers = ['user-agent', 'temporal-outbox', 'accept', 'application/json'];
  headers.push('content-type', 'application/x-www-form-urlencoded');
  if (sendAs === 'body') {
    form.set('client_id', id);
    form.set('client_secret', secret);
    secrets.remember(encodeURIComponent(secret));
  } else {
    const encoded = basicOf(formEncoded(id), formEncoded(secret));
    secrets.remember(encoded);
    headers.push('authorization', `Basic ${encoded}`);
  }
  const ownConnect = { ...connect, tls: tls === null ? null : new TlsFiles(tls, source) };
  if (connect.proxy?.authorization != null && url.protocol === 'http:')
    headers.push('proxy-authorization', connect.proxy.authorization);
  return {
    url,
    label: `POST ${shown.withoutQuery}`,
    requestTarget: requestTarget(connect, url),
    headers,
    form: form.toString(),
    connect: ownConnect,
    now,
  };
}

/** RFC 6749, 2.3.1: id and secret are encoded as in a form before they are joined. */
function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}
