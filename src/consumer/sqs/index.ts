import { sqsClient } from '../../destination/sqs/client.ts';
import { checkedText, invalid } from '../../inbox/message.ts';
import { queueOf } from '../../destination/sqs/connection.ts';
import { schemes } from '../../destination/sqs/schemes.ts';
import { readPlainAddress } from '../../destination/shared/plainAddress.ts';
import { checkedDuration } from '../checks.ts';
import { PullingSource } from '../shared/pulling.ts';
import type { ConsumerType } from '../type.ts';
import { sqsPull } from './pull.ts';

export interface SqsFrom {
  /** Its address, or `env:NAME` of one. */
  readonly queueUrl: string;
  /** Default: what the address says. */
  readonly region?: string;
  /** Default: the address's own host. */
  readonly endpoint?: string;
  /** Each written out or as `env:NAME`. Default: the SDK's own chain, for Amazon's own hosts. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** After so long without a word the queue delivers again, whole seconds; extended while the handler runs. Default 30s. */
  readonly visibilityTimeout?: string;
  /** A request that finds nothing waits so long for messages, whole seconds, `0s` to `20s`. Default 10s. */
  readonly waitTime?: string;
}

/** The service's own limit. */
const waitSecondsMax = 20;

/** `type: 'sqs'`: retries by the visibility of each message, up to twelve hours. */
export const sqs: ConsumerType<SqsFrom> = {
  name: 'sqs',
  clients: [sqsClient],
  keys: ['queueUrl', 'region', 'endpoint', 'credentials', 'visibilityTimeout', 'waitTime'],
  source: ({ queueUrl }) => `sqs ${String(queueUrl).split('/').at(-1)}`,
  open(
    { queueUrl, region, endpoint, credentials, visibilityTimeout = '30s', waitTime = '10s' },
    host,
    secrets,
  ) {
    const url = readPlainAddress('from.queueUrl', checkedText('from.queueUrl', queueUrl), schemes, secrets);
    const at = endpoint === undefined ? null : readPlainAddress('from.endpoint', endpoint, schemes, secrets);
    const login =
      credentials === undefined ? null : { ...credentials, sessionToken: credentials.sessionToken ?? null };
    const queue = queueOf(url, { endpoint: at, region: region ?? null, credentials: login }, secrets);
    if (host.order === 'key' && !queue.isFifo)
      throw invalid('order', 'none: only FIFO queues keep an order', 'key');
    const visibilityMs = checkedDuration('from.visibilityTimeout', visibilityTimeout);
    const waitSeconds = Math.ceil(checkedDuration('from.waitTime', waitTime) / 1000);
    if (waitSeconds > waitSecondsMax) throw invalid('from.waitTime', `at most ${waitSecondsMax}s`, waitTime);
    return new PullingSource(sqsPull(queue, Math.max(1, Math.ceil(visibilityMs / 1000)), waitSeconds), host);
  },
};
