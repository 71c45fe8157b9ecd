import { rocketmqClient } from '../../destination/rocketmq/client.ts';
import { prepareProxy } from '../../destination/rocketmq/proxy.ts';
import { readHostPortList } from '../../destination/shared/hostPortList.ts';
import { checkedText, invalid } from '../../inbox/message.ts';
import { checkedDuration } from '../checks.ts';
import { PullingSource } from '../shared/pulling.ts';
import type { ConsumerType } from '../type.ts';
import { rocketmqPull } from './pull.ts';

export interface RocketmqFrom {
  /** `host:port` of the gRPC proxy, several parted by `;`, or `env:NAME` of it. */
  readonly endpoints: string;
  readonly topic: string;
  /** The consumer group; with `order: 'key'` one that was made for order. Default: the consumer's name. */
  readonly group?: string;
  /** Only messages with these tags: `paid || shipped`. Default: all. */
  readonly tags?: string;
  /** After so long without a word the broker delivers again, 10s at least; extended while the handler runs. Default 30s. */
  readonly invisibleTime?: string;
  /** A request that finds nothing waits so long for messages, `5s` to `20s` with a proxy as it comes. Default 5s. */
  readonly waitTime?: string;
  readonly namespace?: string;
  /** Each written out or as `env:NAME`. */
  readonly auth?: {
    readonly accessKey: string;
    readonly accessSecret: string;
    readonly securityToken?: string;
  };
  /** `{}` turns TLS on, with the authorities of `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` or Node's own. */
  readonly tls?: { readonly enabled?: boolean };
}

/** The broker's own limit. */
const invisibleMsMax = 12 * 3_600_000;

/** `type: 'rocketmq'`: a consumer group over gRPC; retries by the invisible time of each message. */
export const rocketmq: ConsumerType<RocketmqFrom> = {
  name: 'rocketmq',
  clients: [rocketmqClient],
  keys: ['endpoints', 'topic', 'group', 'tags', 'invisibleTime', 'waitTime', 'namespace', 'auth', 'tls'],
  source: ({ topic }) => `rocketmq ${topic}`,
  open({ endpoints, topic, group, tags, namespace, auth, tls, ...times }, host, secrets) {
    const { invisibleTime = '30s', waitTime = '5s' } = times;
    const login = auth === undefined ? null : { ...auth, securityToken: auth.securityToken ?? null };
    const proxy = prepareProxy(
      {
        endpoints: checkedText('from.endpoints', endpoints),
        auth: login,
        namespace: namespace ?? null,
        tls: tls !== undefined && (tls.enabled ?? true),
      },
      secrets,
      readHostPortList,
    );
    const invisibleMs = checkedDuration('from.invisibleTime', invisibleTime);
    if (invisibleMs > invisibleMsMax) throw invalid('from.invisibleTime', 'at most 12h', invisibleTime);
    const settings = {
      topic: checkedText('from.topic', topic),
      group: checkedText('from.group', group ?? host.consumer),
      tags: checkedText('from.tags', tags ?? '*'),
      invisibleMs,
      waitMs: checkedDuration('from.waitTime', waitTime),
      ordered: host.order === 'key',
    };
    return new PullingSource(rocketmqPull(proxy, settings), host);
  },
};
