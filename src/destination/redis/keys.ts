/** The keys of outbox.yaml for `type: redis`. */
import { bounds } from '../../settings/limits.ts';
import { duration, flag, oneOf, section, text, whole, type InputOf } from '../../settings/shapes.ts';
import { ms } from '../../settings/durations.ts';
import { normaliseTls, tlsSection } from '../shared/tls.ts';
import type { TlsSettings } from '../shared/tlsOptions.ts';

export const redisKeys = {
  url: text(bounds.urlLength, 'a redis:// or rediss:// address, or env:NAME of one').describe(
    'env:NAME, as it holds a password; /1 at its end is a database. ${NAME} is filled in.',
  ),
  stream: text({ min: 1, max: 1024 }, 'a stream').describe('A template: the key of the stream.'),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  declare: flag().optional().describe('Make streams that are not there. Default false.'),
  maxLength: whole({ min: 1, max: 1_000_000_000 })
    .optional()
    .describe('Drop the oldest entries above about so many, read or not. Default: nothing is dropped.'),
  wait: section({
    replicas: whole({ min: 1, max: 100 }).describe('So many have to have it (WAIT).'),
    timeout: duration({ min: 1, max: 60_000 }).optional().describe('Default 5s.'),
  })
    .optional()
    .describe('Default: the primary alone acknowledges.'),
  tls: tlsSection('on for rediss://').optional(),
};

export type RedisInput = InputOf<typeof redisKeys>;

export interface RedisSettings {
  /** As written. */
  readonly url: string;
  readonly stream: string;
  readonly cloudEvents: 'none' | 'binary' | 'structured';
  readonly declare: boolean;
  readonly maxLength: number | null;
  readonly wait: { readonly replicas: number; readonly timeoutMs: number } | null;
  readonly tls: TlsSettings | null;
}

const waitMs = 5_000;

export function normaliseRedis(input: RedisInput): RedisSettings {
  const { url, stream, cloudEvents, declare, maxLength, wait, tls } = input;
  return {
    url,
    stream,
    cloudEvents: cloudEvents ?? 'none',
    declare: declare ?? false,
    maxLength: maxLength ?? null,
    wait: wait === undefined ? null : { replicas: wait.replicas, timeoutMs: ms(wait.timeout, waitMs) },
    tls: normaliseTls(tls),
  };
}
