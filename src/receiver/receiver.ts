/** The way of one request: look at it, verify it, have its effect once, answer as the sender understands. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { PoolClient } from 'pg';
import { isPingBody, pingType } from '../core/ping.ts';
import { printable } from '../core/printable.ts';
import type { OutboxError } from '../errors.ts';
import { checkedClaimOptions, claimMessage, type ClaimOptions } from '../inbox/claim.ts';
import { checkedMessage, checkedText, hashPayload, invalid, type Message } from '../inbox/message.ts';
import { runHandler } from '../inbox/processOnce.ts';
import { acknowledgement, answerTo, isFault, refusal, type Answer } from './answers.ts';
import { fastifyPlugin, type FastifyReceiver } from './fastify.ts';
import { fetchHandler, type FetchRequest } from './fetch.ts';
import { judgeFormBy, methods } from './form.ts';
import { headerOf, type HeaderSource } from './headers.ts';
import { nodeListener } from './listener.ts';
import { ReceivedMessage } from './message.ts';
import type { ReceiverRequest } from './request.ts';
import { processing, type Processed } from '../tracing/process.ts';
import { createHeaderJudge, createVerifier } from './signature.ts';
import { hearIdleErrors, inTransaction, type ReceiverClient, type ReceiverPool } from './transaction.ts';

export interface ReceiverOptions<Client extends ReceiverClient = PoolClient> extends ClaimOptions {
  /** Who consumes, 1 to 255 bytes: each consumer does each message once. */
  readonly consumer: string;
  /** `whsec_…`; several while they rotate. */
  readonly secrets: readonly string[];
  /** Of `pg`, with a `connectionTimeoutMillis`: without one, requests wait for a database that is away. */
  readonly pool: ReceiverPool<Client>;
  /**
   * Does the work through `client`, whose transaction the receiver began and ends. What it throws rolls back; throw a
   * {@link Refusal} to choose the answer. It may be called again after a serialization failure or deadlock.
   */
  readonly handler: (client: Client, message: ReceivedMessage) => unknown;
  /** As in processOnce, but by default 2,000 ms: the sender waits for the answer meanwhile. */
  readonly wait?: boolean | number;
  /** Default `read committed`. */
  readonly isolation?: (typeof isolations)[number];
  /** Of `webhook-timestamp`. Default 300. */
  readonly toleranceSeconds?: number;
  /** Larger bodies are answered 413. Default 2 MiB; payloads of our sender have at most 1 MiB. */
  readonly maxBodyBytes?: number;
  /**
   * Media types that are taken, such as `['application/avro']`, `['text/*']` or `['*\/*']`; others are answered 415. Default JSON in UTF-8. Of
   * events of bytes the handler reads `message.body`.
   */
  readonly contentTypes?: readonly string[];
  /** Messages at work at once; more are answered 429, which costs them nothing. Default 200. */
  readonly maxInFlight?: number;
  /** Told of what went wrong here and was answered 500 or 503. Default: a line on stderr. */
  readonly onError?: (error: unknown, message: { readonly webhookId: string | null }) => void;
}

export interface Receiver {
  /** Verifies and processes one request. Never throws. */
  readonly answer: (request: ReceiverRequest) => Promise<Answer>;
  /** For `createServer(receiver.listener)` of node:http, and as a handler of Express: `app.post('/hooks', receiver.listener)`. */
  readonly listener: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /**
   * For whatever hands over a Request and takes a Response: `export const POST = receiver.fetch` in a route of Next.js,
   * `(c) => receiver.fetch(c.req.raw)` in Hono, `({ request }) => receiver.fetch(request)` in Remix, `Bun.serve({ fetch: receiver.fetch })`.
   * Never rejects.
   */
  readonly fetch: (request: FetchRequest) => Promise<Response>;
  /** For Fastify: `app.register(receiver.fastify, { path: '/hooks' })`. */
  readonly fastify: FastifyReceiver;
}

const mebibyte = 1024 * 1024;
const isolations = ['read committed', 'repeatable read', 'serializable'] as const;

/**
 * A receiver for what this outbox sends, and for any sender of Standard Webhooks. The inbox has to be there
 * (`temporal-outbox inbox migrate`).
 *
 * @throws OutboxError OUTBOX_SECRET_MISSING, OUTBOX_INBOX_INVALID when an option cannot be right
 */
export function createReceiver<Client extends ReceiverClient = PoolClient>(
  options: ReceiverOptions<Client>,
): Receiver {
  const { consumer, pool, handler, isolation = 'read committed' } = options;
  const { maxBodyBytes = 2 * mebibyte, maxInFlight = 200, wait = 2_000, onRevision = 'refuse' } = options;
  checkedText('consumer', consumer);
  assertCount('maxBodyBytes', maxBodyBytes);
  assertCount('maxInFlight', maxInFlight);
  checkedClaimOptions({ wait, onRevision });
  if (!isolations.includes(isolation)) throw invalid('isolation', isolations.join(' or '), isolation);
  const { toleranceSeconds = 300 } = options;
  const verify = createVerifier(options.secrets, { toleranceSeconds });
  const judgeSigned = createHeaderJudge({ toleranceSeconds });
  const judgeForm = judgeFormBy(options.contentTypes);
  const tell = teller(options.onError);
  hearIdleErrors(pool, (error) => tell(error, null));
  let inFlight = 0;

  const carryOut = async (received: ReceivedMessage, message: Message): Promise<Answer> => {
    let during: 'claim' | 'handler' = 'claim';
    try {
      const outcome = await inTransaction(pool, isolation, async (client) => {
        during = 'claim';
        const claim = await claimMessage(client, message, { onRevision, wait }, null);
        if (claim.outcome !== 'taken') return claim.outcome;
        during = 'handler';
        const told = received.replacing(claim.replaces);
        await runHandler(client, message, claim.replaces, () => handler(client, told));
        return 'processed';
      });
      return acknowledgement(outcome);
    } catch (error) {
      if (isFault(error)) tell(error, received.webhookId);
      return answerTo(error, during);
    }
  };

  /** Null when its body is worth reading. */
  const judge = (method: string, headers: HeaderSource): Answer | null => {
    const unfit = judgeForm(method, headers) ?? judgeLength(headers, maxBodyBytes);
    if (unfit !== null) return unfit;
    try {
      judgeSigned(headers);
      return null;
    } catch (error) {
      return answerTo(error, 'claim');
    }
  };

  const answer = async ({ method, headers, body }: ReceiverRequest): Promise<Answer> => {
    const unfit = judgeForm(method, headers) ?? (body.length > maxBodyBytes ? tooLarge(maxBodyBytes) : null);
    if (unfit !== null) return unfit;
    let received: ReceivedMessage;
    let message: Message;
    try {
      const { id, timestamp } = verify(headers, body);
      message = checkedMessage({ consumer, messageId: id, payloadHash: hashPayload(body) });
      received = new ReceivedMessage(id, timestamp, message, headers, body);
    } catch (error) {
      return answerTo(error, 'claim');
    }
    // `destinations test`: it is verified as every message is, and concerns no handler.
    if (received.type === pingType && isPingBody(body)) return acknowledgement('ping');
    if (inFlight >= maxInFlight) return refusal(429, 'too many messages at once', { 'retry-after': '1' });
    inFlight++;
    try {
      return await processing(
        () => traced(received, consumer),
        () => carryOut(received, message),
        ({ status, headers: { 'outbox-inbox': outcome }, body }) => ({
          attributes: {
            'http.response.status_code': status,
            ...(outcome === undefined ? {} : { 'outbox.outcome': outcome }),
          },
          error: status < 400 ? null : (body ?? '').trim(),
        }),
      );
    } finally {
      inFlight--;
    }
  };

  const fault = (error: unknown): Answer => {
    tell(error, null);
    return refusal(500, 'the receiver is set up wrongly');
  };
  const parts = { judge, answer, maxBodyBytes, tooLarge: tooLarge(maxBodyBytes), fault };
  return {
    answer,
    listener: nodeListener(parts),
    fetch: fetchHandler(parts),
    fastify: fastifyPlugin({ judge, answer, maxBodyBytes, methods }),
  };
}

function traced(received: ReceivedMessage, consumer: string): Processed {
  const { messageId, type, attempt } = received;
  const [traceparent, tracestate] = [received.header('traceparent'), received.header('tracestate')];
  return {
    ...{ system: 'temporal_outbox', destination: null, consumer, messageId, type, attempt },
    trace: { traceparent, tracestate },
  };
}

/** Before the body: what is announced. HTTP servers refuse most of it themselves. */
function judgeLength(headers: HeaderSource, bytesMax: number): Answer | null {
  const length = headerOf(headers, 'content-length');
  if (length === undefined) return null;
  if (!/^\d+$/.test(length)) return refusal(400, 'expected content-length to be a number of bytes');
  return Number(length) > bytesMax ? tooLarge(bytesMax) : null;
}

function tooLarge(bytesMax: number): Answer {
  return refusal(413, `expected a body of at most ${bytesMax} bytes`);
}

function assertCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) throw invalid(name, 'a whole number from 1', value);
}

type Tell = (error: unknown, webhookId: string | null) => void;

/** A listener that throws must not cost the answer, nor the process. */
function teller(onError: NonNullable<ReceiverOptions['onError']> | undefined): Tell {
  return (error, webhookId) => {
    try {
      if (onError !== undefined) return onError(error, { webhookId });
    } catch (another) {
      report(another, webhookId);
    }
    report(error, webhookId);
  };
}

function report(error: unknown, webhookId: string | null): void {
  const { message = String(error), hint } = (error ?? {}) as Partial<OutboxError>;
  const advice = hint === undefined ? '' : ` ${hint}`;
  process.stderr.write(
    `receiver: message ${printable(webhookId ?? '(unknown)', 300)}: ${printable(`${message}.${advice}`, 1000)}\n`,
  );
}
