import { ioredis } from '../../destination/redis/client.ts';
import { serverOf } from '../../destination/redis/connection.ts';
import { schemes } from '../../destination/redis/schemes.ts';
import { readPlainAddress } from '../../destination/shared/plainAddress.ts';
import { checkedText, invalid } from '../../inbox/message.ts';
import { checkedDuration } from '../checks.ts';
import { tlsFrom, type TlsFrom } from '../shared/options.ts';
import { PullingSource } from '../shared/pulling.ts';
import type { ConsumerType } from '../type.ts';
import { redisPull } from './pull.ts';

export interface RedisFrom {
  /** `redis://…` or `rediss://…`, or `env:NAME` of one. */
  readonly url: string;
  readonly stream: string;
  /** The consumer group, made where it is not there, from the stream's beginning. Default: the consumer's name. */
  readonly group?: string;
  /** What was taken and not heard of for so long is another's; extended while the handler runs. Default 30s. */
  readonly idle?: string;
  readonly tls?: TlsFrom;
}

/** `type: 'redis'`: a consumer group of a stream; Redis has no delay, so retries wait in the consumer's database. */
export const redis: ConsumerType<RedisFrom> = {
  name: 'redis',
  clients: [ioredis],
  keys: ['url', 'stream', 'group', 'idle', 'tls'],
  source: ({ stream }) => `redis ${stream}`,
  open({ url, stream, group, idle = '30s', tls }, host, secrets) {
    // What a process that died had taken comes behind what was behind it.
    if (host.order === 'key')
      throw invalid('order', 'none: a group of Redis keeps no order once a consumer died', 'key');
    const server = serverOf(
      readPlainAddress('from.url', String(url), schemes, secrets),
      tlsFrom(tls),
      secrets,
    );
    const settings = {
      stream: checkedText('from.stream', stream),
      group: checkedText('from.group', group ?? host.consumer),
      idleMs: checkedDuration('from.idle', idle),
    };
    return new PullingSource(redisPull(server, settings), host);
  },
};
