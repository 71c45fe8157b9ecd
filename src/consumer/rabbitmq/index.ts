import { amqplib } from '../../destination/rabbitmq/client.ts';
import { serverOf } from '../../destination/rabbitmq/connection.ts';
import { schemes } from '../../destination/rabbitmq/schemes.ts';
import { readPlainAddress } from '../../destination/shared/plainAddress.ts';
import { checkedText, invalid } from '../../inbox/message.ts';
import type { ConsumerType } from '../type.ts';
import { RabbitmqSource } from './source.ts';

export interface RabbitmqFrom {
  /** `amqp://…` or `amqps://…`, or `env:NAME` of one. */
  readonly url: string;
  readonly queue: string;
  /** Kind of the queue that is made where it is none, durable; with `order: 'key'` of a single active consumer. Default: none is made. */
  readonly declare?: 'quorum' | 'classic' | false;
  /** What is bound to the queue at each start: from an exchange that is there, by routing keys. */
  readonly bind?: { readonly exchange: string; readonly routingKeys: readonly string[] };
  /** PEM, each written out or as `env:NAME`; for `amqps://`. */
  readonly tls?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly insecure?: boolean;
  };
}

/** `type: 'rabbitmq'`: retries by delay queues named `<queue>.again.<ms>`, acknowledged after the commit. */
export const rabbitmq: ConsumerType<RabbitmqFrom> = {
  name: 'rabbitmq',
  clients: [amqplib],
  keys: ['url', 'queue', 'declare', 'bind', 'tls'],
  source: ({ queue }) => `rabbitmq ${queue}`,
  open({ url, queue, declare = false, bind, tls = {} }, host, secrets) {
    if (![false, 'quorum', 'classic'].includes(declare))
      throw invalid('from.declare', 'quorum, classic or false', declare);
    const { ca = null, cert = null, key = null, insecure = false } = tls;
    const server = serverOf(
      readPlainAddress('from.url', String(url), schemes, secrets),
      { ca, cert, key, insecure },
      secrets,
    );
    const settings = { queue: checkedText('from.queue', queue), declare, bind: bind ?? null };
    return new RabbitmqSource(server, settings, host);
  },
};
