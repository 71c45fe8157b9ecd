/** The keys of outbox.yaml for `type: rabbitmq`. */
import * as z from 'zod';
import { bounds } from '../../settings/limits.ts';
import { oneOf, section, text, type InputOf } from '../../settings/shapes.ts';
import { credentialKeys, normaliseCredentials } from '../shared/tls.ts';
import type { TlsCredentials } from '../shared/tlsOptions.ts';

const template = (what: string) => text({ min: 1, max: 1024 }, what);

export const rabbitmqKeys = {
  url: text(bounds.urlLength, 'an amqp:// or amqps:// address, or env:NAME of one').describe(
    'env:NAME, as it holds a password. ${NAME} is filled in.',
  ),
  exchange: text({ min: 0, max: 255 }, "an exchange, '' for the default one").describe(
    "'' is the default exchange: then routingKey names the queue.",
  ),
  routingKey: template('a routing key').optional().describe("A template. Default '{type}'."),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  declare: z
    .union(
      [
        z.literal(false),
        section({
          exchange: oneOf(['direct', 'topic', 'fanout', 'headers']).optional().describe('Its kind, durable.'),
          queue: oneOf(['quorum', 'classic'])
            .optional()
            .describe('With the default exchange: the queue that routingKey names, durable.'),
        }),
      ],
      { error: 'expected false, or a mapping with exchange or queue' },
    )
    .optional()
    .describe('What is made where it is not there. Default: nothing is.'),
  tls: section(credentialKeys).optional().describe('For amqps://.'),
};

export type RabbitmqInput = InputOf<typeof rabbitmqKeys>;

export interface RabbitmqSettings {
  /** As written. */
  readonly url: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly cloudEvents: 'none' | 'binary' | 'structured';
  readonly declare: { readonly exchange: string | null; readonly queue: 'quorum' | 'classic' | null };
  readonly tls: TlsCredentials;
}

export function normaliseRabbitmq({
  url,
  exchange,
  routingKey,
  cloudEvents,
  declare,
  tls,
}: RabbitmqInput): RabbitmqSettings {
  const made = declare === undefined || declare === false ? {} : declare;
  return {
    url,
    exchange,
    routingKey: routingKey ?? '{type}',
    cloudEvents: cloudEvents ?? 'none',
    declare: { exchange: made.exchange ?? null, queue: made.queue ?? null },
    tls: normaliseCredentials(tls ?? {}),
  };
}
