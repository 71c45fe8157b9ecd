import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { preparedBy } from '../shared/prepared.ts';
import { explainedAddress } from '../shared/serverAddress.ts';
import type { DestinationType } from '../type.ts';
import { jetstream, transport } from './client.ts';
import { natsKeys, normaliseNats, type NatsInput, type NatsSettings } from './keys.ts';
import { NatsPublisher } from './publisher.ts';
import { checkNats } from './rules.ts';
import { schemes } from './schemes.ts';
import { prepareServer } from './server.ts';
import { inspectNats } from './streams.ts';
import { subjectOf, subjectsOf } from './subject.ts';

/** `type: nats`: a message for each delivery, acknowledged by the JetStream stream that stored it. */
export const nats: DestinationType<NatsSettings> = {
  name: 'nats',
  keys: natsKeys,
  // Acknowledgements come in crowds: few under way would wait for each.
  defaults: { concurrency: 500 },
  clients: [transport, jetstream],
  templates: ['subject'],
  check: checkNats,
  normalise: (input) => normaliseNats(input as NatsInput),
  explain({ servers, subject, stream, cloudEvents, declare, retry }, { env, sample }) {
    const address = servers.map((server) => explainedAddress(server, schemes, { env })).join(', ');
    return {
      facts: { address, subject, stream, cloudEvents, declare },
      address: `${address}, subject ${subject}${stream === null ? '' : `, stream ${stream}`}`,
      rows: [
        ['acknowledged', 'by the stream that stored it (JetStream), or that had stored it under the same id'],
        ...(declare ? [['made if absent', `stream ${stream!} for ${subjectsOf(subject)}`] as const] : []),
      ],
      answers: [
        [
          'unreachable',
          `no connection, no acknowledgement or a full stream costs no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', 'no stream takes its subject, too large, a header that NATS cannot carry'],
        [
          'for example',
          `${sample.type} with key ${sample.key} goes to subject ${explainedTemplate(subject, sample, subjectOf)}`,
        ],
      ],
    };
  },
  ...preparedBy(
    prepareServer,
    (config, server, { connections }) => new NatsPublisher(config, server, connections),
  ),
  inspect: inspectNats,
};
