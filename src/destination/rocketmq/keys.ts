/** The keys of outbox.yaml for `type: rocketmq`. */
import { flag, oneOf, secret, section, text, type InputOf } from '../../settings/shapes.ts';

const template = (what: string) => text({ min: 1, max: 1024 }, what);

export const rocketmqKeys = {
  endpoints: text({ min: 1, max: 2048 }, 'host:port of the gRPC proxy, or env:NAME of it').describe(
    'Of one cluster; several are parted by ;. ${NAME} is filled in.',
  ),
  topic: template('a topic').describe('A template.'),
  group: template('a message group')
    .optional()
    .describe("A template, for FIFO topics: '{key}'. Without it the topic is a normal one."),
  tag: template('a tag').optional().describe('A template.'),
  key: template('a message key')
    .optional()
    .describe(
      "A template; an index beside our id, which always is one. Default '{key}', none without a key.",
    ),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  namespace: text({ min: 1, max: 255 }, 'a namespace').optional(),
  auth: section({
    accessKey: secret().describe('env:NAME.'),
    accessSecret: secret().describe('env:NAME.'),
    securityToken: secret().optional().describe('env:NAME.'),
  }).optional(),
  tls: section({
    enabled: flag().optional().describe('Default true.'),
  })
    .optional()
    .describe('The client trusts the authorities of GRPC_DEFAULT_SSL_ROOTS_FILE_PATH, or else Node’s own.'),
};

export type RocketmqInput = InputOf<typeof rocketmqKeys>;

export interface RocketmqSettings {
  /** As written. */
  readonly endpoints: string;
  readonly topic: string;
  readonly group: string | null;
  readonly tag: string | null;
  readonly key: string;
  readonly cloudEvents: 'none' | 'binary' | 'structured';
  readonly namespace: string | null;
  readonly auth: {
    readonly accessKey: string;
    readonly accessSecret: string;
    readonly securityToken: string | null;
  } | null;
  readonly tls: boolean;
}

/** The event's key, or none. */
export const eventKey = '{key}';

export function normaliseRocketmq(input: RocketmqInput): RocketmqSettings {
  const { endpoints, topic, group, tag, key, cloudEvents, namespace, auth, tls } = input;
  return {
    endpoints,
    topic,
    group: group ?? null,
    tag: tag ?? null,
    key: key ?? eventKey,
    cloudEvents: cloudEvents ?? 'none',
    namespace: namespace ?? null,
    auth: auth === undefined ? null : { ...auth, securityToken: auth.securityToken ?? null },
    tls: tls === undefined ? false : (tls.enabled ?? true),
  };
}
