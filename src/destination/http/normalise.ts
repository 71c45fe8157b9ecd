/** What an http destination's keys come to. */
import type { CredentialsConfig } from '../../core/httpCredentials.ts';
import { normaliseCredentials } from '../shared/tls.ts';
import type { HttpSettings } from './config.ts';
import type { HttpInput, RequestInput } from './keys.ts';
import { httpDefaults } from './limits.ts';

export function normaliseHttp(input: HttpInput): HttpSettings {
  return {
    url: input.url,
    method: input.method ?? httpDefaults.method,
    headers: { ...input.headers },
    ...normaliseRequest(input),
    idempotencyKey: { quoted: input.idempotencyKey?.quoted ?? httpDefaults.idempotencyKey.quoted },
    cloudEvents: input.cloudEvents ?? httpDefaults.cloudEvents,
    responseExcerpt: input.responseExcerpt ?? httpDefaults.responseExcerpt,
    retry: {
      nonRetryableStatusCodes: [
        ...new Set(input.retry?.nonRetryableStatusCodes ?? httpDefaults.retry.nonRetryableStatusCodes),
      ],
    },
    circuit: { probeUrl: input.circuit?.probeUrl ?? httpDefaults.circuit.probeUrl },
  };
}

/** Of a check-back too. */
export function normaliseRequest({ signing, auth, network, tls, proxy }: RequestInput) {
  return {
    signing: signing ?? null,
    auth: normaliseAuth(auth),
    network: { allowPrivate: network?.allowPrivate ?? httpDefaults.network.allowPrivate },
    // Absent where not written: what an earlier version stored stays the same.
    ...(tls === undefined ? {} : { tls: normaliseCredentials(tls) }),
    ...(proxy === undefined ? {} : { proxy }),
  };
}

function normaliseAuth(input: RequestInput['auth']): CredentialsConfig | null {
  if (input?.bearer !== undefined) return { kind: 'bearer', token: input.bearer };
  if (input?.basic !== undefined) return { kind: 'basic', ...input.basic };
  if (input?.oauth2 === undefined) return null;
  const { scope = null, audience = null, sendAs = 'basic', tls, ...client } = input.oauth2;
  return {
    kind: 'oauth2',
    ...client,
    scope,
    audience,
    sendAs,
    tls: tls === undefined ? null : normaliseCredentials(tls),
  };
}
