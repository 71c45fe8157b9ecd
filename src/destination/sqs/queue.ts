/** The queue a destination names, and the client that all queues of one region and login share. */
import type * as Sqs from '@aws-sdk/client-sqs';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { OutboxError } from '../../errors.ts';
import { loadClient } from '../shared/clients.ts';
import { OnDemand } from '../shared/onDemand.ts';
import { hidden, readSecret } from '../shared/secretValues.ts';
import { shownAddress } from '../shared/plainAddress.ts';
import { readServerAddress } from '../shared/serverAddress.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { sqsClient } from './client.ts';
import type { SqsSettings } from './keys.ts';

export const schemes = ['https', 'http'];

export interface Queue {
  readonly url: string;
  readonly label: string;
  readonly isFifo: boolean;
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  } | null;
  readonly secrets: readonly string[];
  /** The same for all destinations of one endpoint, region and login. Stays in memory. */
  readonly key: string;
}

export function isFifo({ pathname }: URL): boolean {
  return pathname.endsWith('.fifo');
}

export function isAmazons({ hostname, protocol }: URL): boolean {
  return protocol === 'https:' && /\.(amazonaws\.com(\.cn)?|api\.aws)$/.test(hostname);
}

/** `sqs.eu-central-1.amazonaws.com`, `eu-central-1.queue.amazonaws.com` and those of VPC end points. */
export function regionOf({ hostname }: URL): string | null {
  return /(?:^|\.)([a-z]{2}(?:-[a-z]+)+-\d)(?:\.|$)/.exec(hostname)?.[1] ?? null;
}

/** @throws OutboxError naming what is missing or malformed */
export function prepareQueue(settings: SqsSettings, source: SecretSource): Queue {
  const url = readServerAddress('queueUrl', settings.queueUrl, schemes, source);
  const endpoint =
    settings.endpoint === null ? null : readServerAddress('endpoint', settings.endpoint, schemes, source);
  const region = settings.region ?? regionOf(url);
  if (region === null)
    throw new OutboxError('OUTBOX_CONFIG_INVALID', 'region is missing, and queueUrl does not say it');
  const credentials = readCredentials(settings, source);
  if (credentials === null && !isAmazons(endpoint ?? url))
    throw new OutboxError(
      'OUTBOX_CONFIG_INVALID',
      "credentials are missing: what this process logs in to AWS with goes to Amazon's own hosts alone",
    );
  return {
    url: url.href,
    label: shownAddress(url),
    isFifo: isFifo(url),
    region,
    endpoint: endpoint?.origin ?? url.origin,
    credentials,
    secrets: hidden(Object.values(credentials ?? {})),
    key: `sqs ${endpoint?.origin ?? url.origin} ${region} ${JSON.stringify(credentials)}`,
  };
}

function readCredentials({ credentials }: SqsSettings, source: SecretSource): Queue['credentials'] {
  if (credentials === null) return null;
  const read = (reference: string) => readSecret(reference, source);
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  return {
    accessKeyId: read(accessKeyId),
    secretAccessKey: read(secretAccessKey),
    ...(sessionToken === null ? {} : { sessionToken: read(sessionToken) }),
  };
}

const connectTimeoutMs = 10_000;

export type SqsModule = Pick<
  typeof Sqs,
  'SQSClient' | 'SendMessageBatchCommand' | 'GetQueueAttributesCommand'
>;

/** One client, made when it is first needed. */
export class SqsConnection {
  readonly #queue: Queue;
  readonly #opened = new OnDemand(() => this.#open());

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  open(): Promise<{ readonly client: SQSClient; readonly sqs: SqsModule }> {
    return this.#opened.get();
  }

  close(): Promise<void> {
    return this.#opened.close(({ client }) => client.destroy());
  }

  async #open() {
    const sqs = await loadClient<SqsModule>(sqsClient, 'sqs');
    const { region, endpoint, credentials } = this.#queue;
    const client = new sqs.SQSClient({
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === null ? {} : { credentials }),
      // What is tried again, when and under which attempt, is the outbox's to say.
      maxAttempts: 1,
      requestHandler: { connectionTimeout: connectTimeoutMs },
    });
    return { client, sqs };
  }
}
