/** Asks a producer, over HTTP, what became of a half message. */
import { Agent } from 'undici';
import {
  checkBackAnswers,
  type CheckBackAnswer,
  type CheckBackQuestion,
  type HttpCheckBackConfig,
} from '../../core/producer.ts';
import { readBounded } from './boundedBody.ts';
import { classifyError } from './classify.ts';
import { connectionAgeMs, guardedConnector } from './connector.ts';
import { printable } from '../../core/printable.ts';
import { excerptOf, redact } from '../shared/printable.ts';
import { signatures } from './signature.ts';
import { prepareEndpoint, type Endpoint, type TargetSource } from './target.ts';

export interface HttpCheckBack {
  /** Never rejects; null when `signal` ended it. */
  ask(
    question: CheckBackQuestion,
    signal: AbortSignal,
  ): Promise<{ readonly answer: CheckBackAnswer; readonly detail: string | null } | null>;
  close(): Promise<void>;
}

/** An answer is some twenty bytes; what is larger is none. */
const answerBytesMax = 16 * 1024;
const connections = 50;
const detailCharacters = 300;

/**
 * `POST` of the question as JSON, signed as deliveries are. Only status 200 with `{"answer": "committed" | "rolled-back" |
 * "unknown"}` tells anything; all else (another status, another body, no answer in time) is `unknown`, with the reason in words.
 */
export function createHttpCheckBack(config: HttpCheckBackConfig, dependencies: TargetSource): HttpCheckBack {
  const prepared = prepareEndpoint(
    { ...config, method: 'POST', headers: {}, cloudEvents: 'none' },
    dependencies,
  );
  if ('problem' in prepared) {
    const { problem } = prepared;
    return { ask: async () => ({ answer: 'unknown', detail: problem }), close: async () => undefined };
  }
  const { endpoint } = prepared;
  const { timeoutMs } = config;
  const agent = new Agent({
    connect: guardedConnector(endpoint.connect),
    connections,
    pipelining: 1,
    clientTtl: connectionAgeMs,
    // The deadline below covers both.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    ask: (question, signal) => ask(agent, endpoint, timeoutMs, question, signal),
    close: () => agent.close(),
  };
}

/** Why producers cannot be asked from this process, in words and without secrets; null when nothing is wrong. */
export function checkBackProblem(config: HttpCheckBackConfig, dependencies: TargetSource): string | null {
  const prepared = prepareEndpoint(
    { ...config, method: 'POST', headers: {}, cloudEvents: 'none' },
    dependencies,
  );
  return 'problem' in prepared ? prepared.problem : null;
}

async function ask(
  agent: Agent,
  endpoint: Endpoint,
  timeoutMs: number,
  question: CheckBackQuestion,
  signal: AbortSignal,
): ReturnType<HttpCheckBack['ask']> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const body = JSON.stringify(question);
  const { tokens } = endpoint;
  try {
    const lacking = await tokens?.ready(signal);
    if (lacking != null) return { answer: 'unknown', detail: lacking.message };
    const carried = tokens?.authorization ?? '';
    const { statusCode, body: answered } = await agent.request({
      origin: endpoint.origin,
      path: endpoint.requestTarget,
      method: 'POST',
      headers: headersOf(endpoint, question, body),
      body,
      signal: AbortSignal.any([deadline, signal]),
    });
    const bytes = await readBounded(answered, answerBytesMax);
    // The next check-back has another token.
    if (statusCode === 401) await tokens?.renew(carried, signal);
    else tokens?.prove(carried);
    return understood(endpoint, statusCode, bytes);
  } catch (error) {
    if (signal.aborted) return null;
    const why = deadline.aborted ? `timeout: no answer within ${timeoutMs} ms` : describe(error);
    return { answer: 'unknown', detail: line(endpoint, why) };
  }
}

/** Each check-back has an id of its own: an endpoint that knows repeats by it must not give its earlier answer again. */
function headersOf(endpoint: Endpoint, { id, check }: CheckBackQuestion, body: string): string[] {
  const timestamp = String(Math.floor(endpoint.now() / 1000));
  const webhookId = `${id}:check-${check}`;
  const headers = [...endpoint.headers, 'content-type', 'application/json', 'accept', 'application/json'];
  if (endpoint.tokens !== null) headers.push('authorization', endpoint.tokens.authorization);
  headers.push('webhook-id', webhookId, 'webhook-timestamp', timestamp);
  if (endpoint.signingKeys.length > 0)
    headers.push('webhook-signature', signatures(endpoint.signingKeys, webhookId, timestamp, body));
  return headers;
}

function understood(
  endpoint: Endpoint,
  status: number,
  body: Buffer,
): Awaited<ReturnType<HttpCheckBack['ask']>> {
  if (status !== 200) return { answer: 'unknown', detail: line(endpoint, `answered ${status}`) };
  const answer = answerIn(body.toString());
  if (answer === 'unknown') return { answer, detail: line(endpoint, 'answered unknown') };
  if (answer !== undefined) return { answer, detail: null };
  const source = { body, complete: true, contentEncoding: null };
  const excerpt = excerptOf(source, endpoint.secrets, 100) ?? '';
  return {
    answer: 'unknown',
    detail: line(
      endpoint,
      `answered 200, but not {"answer": "committed" | "rolled-back" | "unknown"}: ${excerpt}`,
    ),
  };
}

function answerIn(text: string): CheckBackAnswer | undefined {
  try {
    const { answer } = (JSON.parse(text) ?? {}) as { answer?: unknown };
    return checkBackAnswers.find((known) => known === answer);
  } catch {
    return undefined;
  }
}

function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `${classifyError(error).errorClass}: ${message}`;
}

function line(endpoint: Endpoint, text: string): string {
  return printable(redact(`${endpoint.label} ${text}`, endpoint.secrets), detailCharacters);
}
