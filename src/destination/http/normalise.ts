/** What an http destination's keys come to. */
import type { CredentialsConfig } from '../../core/httpCredentials.ts';
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
export function normaliseRequest({ signing, auth, network }: RequestInput) {
  return {
    signing: signing ?? null,
    auth: normaliseAuth(auth),
    network: { allowPrivate: network?.allowPrivate ?? httpDefaults.network.allowPrivate },
  };
}

function normaliseAuth(input: RequestInput['auth']): CredentialsConfig | null {
  if (input?.bearer !== undefined) return { kind: 'bearer', token: input.bearer };
  if (input?.basic !== undefined) return { kind: 'basic', ...input.basic };
  return null;
}
