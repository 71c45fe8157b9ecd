/** The keys of outbox.yaml for `type: nats`. */
import { bounds } from '../../settings/limits.ts';
import { flag, list, oneOf, secret, section, text, type InputOf } from '../../settings/shapes.ts';
import { normaliseTls, tlsSection } from '../shared/tls.ts';
import type { TlsSettings } from '../shared/tlsOptions.ts';

export const natsKeys = {
  servers: list(
    text(bounds.urlLength, 'a nats:// or tls:// address, or env:NAME of one'),
    { min: 1, max: 20 },
    'addresses such as nats://host',
  ).describe('Of one cluster. env:NAME where an address holds a password. ${NAME} is filled in.'),
  subject: text({ min: 1, max: 1024 }, 'a subject').describe(
    'A template. What no subject may hold is escaped as in a URL: %20.',
  ),
  stream: text({ min: 1, max: 255 }, 'a stream')
    .optional()
    .describe('The stream that has to store it; another one that takes the subject refuses. Default: any.'),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  declare: flag()
    .optional()
    .describe('Make the stream where it is not there, for the subjects of this destination. Default false.'),
  auth: section({
    user: text({ min: 1, max: 255 }, 'a user').optional(),
    password: secret().optional().describe('env:NAME.'),
    token: secret().optional().describe('env:NAME.'),
    nkey: secret().optional().describe('The seed of a user, env:NAME.'),
    creds: secret().optional().describe('What a .creds file holds, env:NAME.'),
  })
    .optional()
    .describe('Default: what the first address holds.'),
  tls: tlsSection('what the server asks for').optional(),
};

export type NatsInput = InputOf<typeof natsKeys>;

export interface NatsSettings {
  /** As written. */
  readonly servers: readonly string[];
  readonly subject: string;
  readonly stream: string | null;
  readonly cloudEvents: 'none' | 'binary' | 'structured';
  readonly declare: boolean;
  readonly auth: {
    readonly user: string | null;
    readonly password: string | null;
    readonly token: string | null;
    readonly nkey: string | null;
    readonly creds: string | null;
  } | null;
  readonly tls: TlsSettings | null;
}

export function normaliseNats(input: NatsInput): NatsSettings {
  const { servers, subject, stream, cloudEvents, declare, auth, tls } = input;
  const { user = null, password = null, token = null, nkey = null, creds = null } = auth ?? {};
  return {
    servers,
    subject,
    stream: stream ?? null,
    cloudEvents: cloudEvents ?? 'none',
    declare: declare ?? false,
    auth: auth === undefined ? null : { user, password, token, nkey, creds },
    tls: normaliseTls(tls),
  };
}
