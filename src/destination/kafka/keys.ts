/** The keys of outbox.yaml for `type: kafka`. */
import * as z from 'zod';
import { flag, list, oneOf, secret, section, text, whole, type InputOf } from '../../settings/shapes.ts';
import { normaliseTls, tlsSection } from '../shared/tls.ts';
import type { TlsSettings } from '../shared/tlsOptions.ts';

export const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;

export const kafkaKeys = {
  brokers: list(
    text({ min: 1, max: 2048 }, 'host:port, or env:NAME of it'),
    { min: 1, max: 50 },
    'brokers such as kafka:9092',
  ).describe('Of one cluster; the others are learnt from them. ${NAME} is filled in.'),
  topic: text({ min: 1, max: 1024 }, 'a topic').describe('A template.'),
  key: text({ min: 1, max: 1024 }, 'a key')
    .optional()
    .describe(
      "A template; selects the partition as Java's client does. Default '{key}', none without a key.",
    ),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  tombstones: flag()
    .optional()
    .describe('The payload null goes out as a tombstone, for compacted topics. Default false.'),
  declare: z
    .union(
      [
        z.boolean(),
        section({
          partitions: whole({ min: 1, max: 10_000 }).optional().describe("Default: the cluster's."),
          replicas: whole({ min: 1, max: 100 }).optional().describe("Default: the cluster's."),
        }),
      ],
      { error: 'expected true, false, or a mapping with partitions and replicas' },
    )
    .optional()
    .describe('Make topics that are not there. Default false.'),
  sasl: section({
    mechanism: oneOf(mechanisms),
    username: text({ min: 1, max: 255 }, 'a user').optional(),
    password: secret().optional().describe('env:NAME.'),
    token: secret().optional().describe('For OAUTHBEARER, env:NAME.'),
  }).optional(),
  tls: tlsSection('off').optional(),
};

export type KafkaInput = InputOf<typeof kafkaKeys>;

export interface KafkaSettings {
  /** As written. */
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly key: string;
  readonly cloudEvents: 'none' | 'binary' | 'structured';
  readonly tombstones: boolean;
  /** -1: as the cluster has it. */
  readonly declare: { readonly partitions: number; readonly replicas: number } | null;
  readonly sasl: {
    readonly mechanism: (typeof mechanisms)[number];
    readonly username: string | null;
    readonly password: string | null;
    readonly token: string | null;
  } | null;
  readonly tls: TlsSettings | null;
}

/** The default: the event's key, or none. */
export const eventKey = '{key}';

export function normaliseKafka(input: KafkaInput): KafkaSettings {
  const { brokers, topic, key, cloudEvents, tombstones, declare = false, sasl, tls } = input;
  const made = declare === true ? {} : declare;
  return {
    brokers,
    topic,
    key: key ?? eventKey,
    cloudEvents: cloudEvents ?? 'none',
    tombstones: tombstones ?? false,
    declare: made === false ? null : { partitions: made.partitions ?? -1, replicas: made.replicas ?? -1 },
    sasl:
      sasl === undefined
        ? null
        : {
            mechanism: sasl.mechanism,
            username: sasl.username ?? null,
            password: sasl.password ?? null,
            token: sasl.token ?? null,
          },
    tls: normaliseTls(tls),
  };
}
