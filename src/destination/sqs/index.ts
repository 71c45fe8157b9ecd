import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { preparedBy } from '../shared/prepared.ts';
import { explainedAddress } from '../shared/serverAddress.ts';
import type { DestinationType } from '../type.ts';
import { sqsClient } from './client.ts';
import { inspectSqs } from './inspect.ts';
import { normaliseSqs, sqsKeys, type SqsInput, type SqsSettings } from './keys.ts';
import { groupId } from './message.ts';
import { SqsPublisher } from './publisher.ts';
import { prepareQueue } from './queue.ts';
import { schemes } from './schemes.ts';
import { checkSqs } from './rules.ts';

/** `type: sqs`: a message for each delivery, ten a request, acknowledged by the answer for each. */
export const sqs: DestinationType<SqsSettings> = {
  name: 'sqs',
  keys: sqsKeys,
  // Fifty requests of ten at once.
  defaults: { concurrency: 500 },
  clients: [sqsClient],
  templates: ['group'],
  check: checkSqs,
  normalise: (input) => normaliseSqs(input as SqsInput),
  explain({ queueUrl, region, group, cloudEvents, credentials, retry }, { env, sample }) {
    const address = explainedAddress(queueUrl, schemes, { env });
    const isFifo = address.endsWith('.fifo');
    const groups = group ?? (isFifo ? '{key}' : null);
    return {
      facts: { address, region, group: groups, cloudEvents, fifo: isFifo },
      address,
      rows: [
        ['acknowledged', 'by the answer for each message: SQS has stored it'],
        ['login', credentials === null ? 'what the AWS SDK finds' : 'credentials'],
      ],
      answers: [
        [
          'unreachable',
          `no connection, throttling or 5xx costs no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', 'what SQS calls the sender’s fault: too large, empty, characters outside XML'],
        [
          'for example',
          groups === null
            ? `${sample.type} with key ${sample.key} goes in no group`
            : `${sample.type} with key ${sample.key} goes in group ${explainedTemplate(groups, sample, groupId)}`,
        ],
      ],
    };
  },
  ...preparedBy(
    prepareQueue,
    (config, queue, { connections }) => new SqsPublisher(config, queue, config.timeoutMs, connections),
  ),
  inspect: inspectSqs,
};
