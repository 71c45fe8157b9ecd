import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { preparedBy } from '../shared/prepared.ts';
import { explainedAddress } from '../shared/serverAddress.ts';
import type { DestinationType } from '../type.ts';
import { amqplib } from './client.ts';
import { inspectRabbitmq } from './inspect.ts';
import { normaliseRabbitmq, rabbitmqKeys, type RabbitmqInput, type RabbitmqSettings } from './keys.ts';
import { RabbitmqPublisher } from './publisher.ts';
import { checkRabbitmq } from './rules.ts';
import { schemes } from './schemes.ts';
import { prepareServer } from './server.ts';

/** `type: rabbitmq`: a persistent message for each delivery, acknowledged by the server's confirm. */
export const rabbitmq: DestinationType<RabbitmqSettings> = {
  name: 'rabbitmq',
  keys: rabbitmqKeys,
  // Confirms come in crowds: few under way would wait for each.
  defaults: { concurrency: 500 },
  clients: [amqplib],
  templates: ['routingKey'],
  check: checkRabbitmq,
  normalise: (input) => normaliseRabbitmq(input as RabbitmqInput),
  explain({ url, exchange, routingKey, cloudEvents, declare, retry }, { env, sample }) {
    const address = explainedAddress(url, schemes, { env });
    const made = declare.exchange ?? declare.queue;
    return {
      facts: { address, exchange, routingKey, cloudEvents, declare: made },
      address: `${address}, ${exchange === '' ? 'default exchange' : `exchange ${exchange}`}, routing key ${routingKey}`,
      rows: [
        [
          'acknowledged',
          'by the confirm of the server: the message is stored by every queue it was routed to',
        ],
        ...(made === null
          ? []
          : [['made if absent', declare.exchange === null ? `${made} queue` : `${made} exchange`] as const]),
      ],
      answers: [
        [
          'unreachable',
          `no connection, blocked, a nack or no confirm costs no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', 'no queue takes it, too large, no such exchange, no permission'],
        [
          'for example',
          `${sample.type} with key ${sample.key} goes by routing key ${explainedTemplate(routingKey, sample)}`,
        ],
      ],
    };
  },
  ...preparedBy(
    prepareServer,
    (config, server, { connections }) => new RabbitmqPublisher(config, server, connections),
  ),
  inspect: inspectRabbitmq,
};
