import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { explainedHostPorts, readHostPorts } from '../shared/hostPorts.ts';
import { preparedBy } from '../shared/prepared.ts';
import type { DestinationType } from '../type.ts';
import { rocketmqClient } from './client.ts';
import { inspectRocketmq } from './inspect.ts';
import { normaliseRocketmq, rocketmqKeys, type RocketmqInput, type RocketmqSettings } from './keys.ts';
import { prepareProxy } from './proxy.ts';
import { RocketmqPublisher } from './publisher.ts';
import { checkRocketmq } from './rules.ts';

/** `type: rocketmq`: a message for each delivery, to a normal or a FIFO topic, acknowledged by the broker. */
export const rocketmq: DestinationType<RocketmqSettings> = {
  name: 'rocketmq',
  keys: rocketmqKeys,
  // Each message is a call of its own: with more the proxy only queues them.
  defaults: { concurrency: 200 },
  clients: [rocketmqClient],
  templates: ['topic', 'group', 'tag', 'key'],
  check: checkRocketmq,
  normalise: (input) => normaliseRocketmq(input as RocketmqInput),
  explain({ endpoints, topic, group, tag, cloudEvents, retry }, { env, sample }) {
    const address = explainedHostPorts([endpoints], { env });
    const kind = group === null ? 'normal topic' : 'FIFO topic';
    const parts = [
      `goes to topic ${explainedTemplate(topic, sample)}`,
      ...(group === null ? [] : [`in group ${explainedTemplate(group, sample)}`]),
      ...(tag === null ? [] : [`with tag ${explainedTemplate(tag, sample)}`]),
    ];
    return {
      facts: { address, topic, group, tag, cloudEvents },
      address: `${address}, ${kind} ${topic}${group === null ? '' : `, group ${group}`}`,
      rows: [
        ['acknowledged', 'by SEND_OK: the broker has stored it, flushed and replicated as it is configured'],
      ],
      answers: [
        [
          'unreachable',
          `no connection, broker busy, not flushed or replicated in time cost no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', 'too large, an empty payload, a property or group that the broker does not take'],
        ['for example', `${sample.type} with key ${sample.key} ${parts.join(' ')}`],
      ],
    };
  },
  ...preparedBy(
    (config: RocketmqSettings, services) => prepareProxy(config, services, readHostPorts),
    (config, proxy, { connections }) => new RocketmqPublisher(config, proxy, connections),
  ),
  inspect: inspectRocketmq,
};
