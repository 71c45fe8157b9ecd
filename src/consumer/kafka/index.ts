import { kafkaClient } from '../../destination/kafka/client.ts';
import { prepareCluster } from '../../destination/kafka/cluster.ts';
import { readHostPortList } from '../../destination/shared/hostPortList.ts';
import { checkedText, invalid } from '../../inbox/message.ts';
import { checkedDuration } from '../checks.ts';
import { tlsFrom, type TlsFrom } from '../shared/options.ts';
import type { ConsumerType } from '../type.ts';
import { KafkaSource } from './source.ts';

export interface KafkaFrom {
  /** Of one cluster, `host:port`, or `env:NAME` of one or several; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** One, or several. */
  readonly topic: string | readonly string[];
  /** The consumer group. Default: the consumer's name. */
  readonly group?: string;
  /** Where a partition begins in which the group never was. Default `earliest`. */
  readonly start?: 'earliest' | 'latest';
  /** A member that is not heard of for so long loses its partitions to the others. Default 30s. */
  readonly sessionTimeout?: string;
  /** Values written out or as `env:NAME`. */
  readonly sasl?: {
    readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | 'OAUTHBEARER';
    readonly username?: string;
    readonly password?: string;
    readonly token?: string;
  };
  readonly tls?: TlsFrom;
}

/** `type: 'kafka'`: a member of a consumer group; offsets are committed behind the last message below which all are done with. */
export const kafka: ConsumerType<KafkaFrom> = {
  name: 'kafka',
  clients: [kafkaClient],
  keys: ['brokers', 'topic', 'group', 'start', 'sessionTimeout', 'sasl', 'tls'],
  source: ({ topic }) => `kafka ${[topic].flat().join(', ')}`,
  open({ brokers, topic, group, start = 'earliest', sessionTimeout = '30s', sasl, tls }, host, secrets) {
    if (!Array.isArray(brokers) || brokers.length === 0)
      throw invalid('from.brokers', 'a list of brokers such as kafka:9092', brokers);
    const topics = [topic].flat().map((each) => checkedText('from.topic', each));
    if (topics.length === 0) throw invalid('from.topic', 'a topic, or a list of them', topic);
    if (start !== 'earliest' && start !== 'latest') throw invalid('from.start', 'earliest or latest', start);
    const { mechanism, username = null, password = null, token = null } = sasl ?? {};
    const login = mechanism === undefined ? null : { mechanism, username, password, token };
    const servers = { brokers: brokers.map(String), sasl: login, tls: tlsFrom(tls) };
    const cluster = prepareCluster(servers, secrets, readHostPortList);
    return new KafkaSource(
      {
        cluster,
        topics: [...new Set(topics)],
        group: checkedText('from.group', group ?? host.consumer),
        start,
        sessionTimeoutMs: checkedDuration('from.sessionTimeout', sessionTimeout),
      },
      host,
    );
  },
};
