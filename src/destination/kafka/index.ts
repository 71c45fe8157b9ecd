import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { explainedHostPorts, readHostPorts } from '../shared/hostPorts.ts';
import { preparedBy } from '../shared/prepared.ts';
import type { DestinationType } from '../type.ts';
import { kafkaClient } from './client.ts';
import { prepareCluster, type Cluster } from './cluster.ts';
import { kafkaKeys, normaliseKafka, type KafkaInput, type KafkaSettings } from './keys.ts';
import { KafkaPublisher } from './publisher.ts';
import { checkKafka } from './rules.ts';
import { inspectKafka } from './topics.ts';

/** `type: kafka`: a record for each delivery, acknowledged when all replicas in sync have it. */
export const kafka: DestinationType<KafkaSettings> = {
  name: 'kafka',
  keys: kafkaKeys,
  // Records travel in batches: few under way would make them small.
  defaults: { concurrency: 1000 },
  clients: [kafkaClient],
  templates: ['topic', 'key'],
  check: checkKafka,
  normalise: (input) => normaliseKafka(input as KafkaInput),
  explain({ brokers, topic, key, cloudEvents, declare, retry }, { env, sample }) {
    const address = explainedHostPorts(brokers, { env });
    return {
      facts: { address, topic, key, cloudEvents, declare },
      address: `${address}, topic ${topic}, key ${key}`,
      rows: [
        [
          'acknowledged',
          'when every replica that is in sync has it (acks=all, min.insync.replicas of the topic)',
        ],
        ...(declare === null ? [] : [['made if absent', 'the topic'] as const]),
      ],
      answers: [
        [
          'unreachable',
          `no connection, no leader, too few replicas in sync cost no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', 'too large, refused by the topic, a name that no topic can have'],
        [
          'for example',
          `${sample.type} with key ${sample.key} goes to topic ${explainedTemplate(topic, sample)} under key ${explainedTemplate(key, sample)}`,
        ],
      ],
    };
  },
  ...preparedBy<KafkaSettings, Cluster>(
    (config, services) => prepareCluster(config, services, readHostPorts),
    (config, cluster, { connections }) => new KafkaPublisher(config, cluster, connections),
  ),
  inspect: inspectKafka,
};
