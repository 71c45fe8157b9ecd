/** A queue and the client that all queues of one region and login share, for those who send to it and those who take from it. */
import type * as Sqs from '@aws-sdk/client-sqs';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { SecretSource } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import { loadClient } from '../shared/clients.ts';
import { OnDemand } from '../shared/onDemand.ts';
import { shownAddress } from '../shared/plainAddress.ts';
import { hidden, readSecret } from '../shared/secretValues.ts';
import { sqsClient } from './client.ts';

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

/** Each written out or as `env:NAME`. */
export interface SqsLogin {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

interface Where {
  readonly endpoint: URL | null;
  readonly region: string | null;
  readonly credentials: SqsLogin | null;
}

/** @throws OutboxError naming what is missing */
export function queueOf(
  url: URL,
  { endpoint, region, credentials: login }: Where,
  source: SecretSource,
): Queue {
  const inRegion = region ?? regionOf(url);
  if (inRegion === null)
    throw new OutboxError('OUTBOX_CONFIG_INVALID', 'region is missing, and queueUrl does not say it');
  const credentials = readCredentials(login, source);
  if (credentials === null && !isAmazons(endpoint ?? url))
    throw new OutboxError(
      'OUTBOX_CONFIG_INVALID',
      "credentials are missing: what this process logs in to AWS with goes to Amazon's own hosts alone",
    );
  return {
    url: url.href,
    label: shownAddress(url),
    isFifo: isFifo(url),
    region: inRegion,
    endpoint: endpoint?.origin ?? url.origin,
    credentials,
    secrets: hidden(Object.values(credentials ?? {})),
    key: `sqs ${endpoint?.origin ?? url.origin} ${inRegion} ${JSON.stringify(credentials)}`,
  };
}

function readCredentials(login: SqsLogin | null, source: SecretSource): Queue['credentials'] {
  if (login === null) return null;
  const read = (reference: string) => readSecret(reference, source);
  const { accessKeyId, secretAccessKey, sessionToken } = login;
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
