/** The HTTP API as seen by a producer without PostgreSQL. */
import type { MessageState } from '../core/messageState.ts';
import { errorCatalogue, OutboxError, type ErrorCode } from '../errors.ts';
import type { CheckedMessage, PreparedMessage, SettledMessage } from './message.ts';

export interface OutboxApiOptions {
  /** `https://outbox.internal:8080`; a path in front of `/v1` is kept. */
  readonly url: string;
  /** Bearer token; none where the API asks for none. */
  readonly token?: string;
  /** Of one request, milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
}

/** Given to prepareMessage, commitMessage, rollbackMessage, readMessage and withMessage. */
export interface OutboxApi {
  prepareMessage(message: CheckedMessage): Promise<PreparedMessage>;
  commitMessage(id: string): Promise<SettledMessage>;
  rollbackMessage(id: string): Promise<SettledMessage>;
  readMessage(id: string): Promise<MessageState>;
}

/**
 * A client of the outbox's HTTP API. Nothing is sent until it is used.
 * @throws OutboxError OUTBOX_USAGE for an address that is none
 */
export function outboxApi({ url, token, timeoutMs = 10_000 }: OutboxApiOptions): OutboxApi {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new OutboxError('OUTBOX_USAGE', 'outboxApi: expected url to be an http:// or https:// address');
  }
  const base = url.replace(/\/+$/, '');
  const ask = async <Answer>(method: string, path: string, body?: string): Promise<Answer> => {
    const where = `${method} ${base}${path}`;
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    try {
      const response = await fetch(`${base}${path}`, {
        method,
        headers,
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
        ...(body === undefined ? {} : { body }),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text) as Answer;
      throw problemOf(response.status, text, where);
    } catch (error) {
      throw error instanceof OutboxError ? error : unreachable(where, error);
    }
  };
  return {
    prepareMessage: (message) => ask('POST', '/v1/messages', bodyOf(message)),
    commitMessage: (id) => ask('POST', `/v1/messages/${id}/commit`),
    rollbackMessage: (id) => ask('POST', `/v1/messages/${id}/rollback`),
    readMessage: (id) => ask('GET', `/v1/messages/${id}`),
  };
}

/** The payload goes in as its text: parsing and printing would round integers beyond 2^53. Bytes are among the other fields, in base64. */
function bodyOf({ payloadText, deliverAt, ...rest }: CheckedMessage): string {
  const fields = JSON.stringify({
    ...rest,
    ...(deliverAt === undefined ? {} : { deliverAt: deliverAt.toISOString() }),
  });
  return payloadText === undefined ? fields : `${fields.slice(0, -1)},"payload":${payloadText}}`;
}

/** An answer of ours names the code; anything else came from something in between. */
function problemOf(status: number, text: string, where: string): OutboxError {
  const { code, detail, hint } = parseProblem(text);
  if (code !== undefined && code in errorCatalogue) {
    return new OutboxError(
      code as ErrorCode,
      detail ?? `${where} answered ${status}`,
      hint === undefined ? {} : { hint },
    );
  }
  return unreachable(where, new Error(`answered ${status}`));
}

function parseProblem(text: string): { code?: string; detail?: string; hint?: string } {
  try {
    const problem: unknown = JSON.parse(text);
    return typeof problem === 'object' && problem !== null ? problem : {};
  } catch {
    return {};
  }
}

function unreachable(where: string, cause: unknown): OutboxError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : '';
  const why = cause instanceof Error ? `${cause.message}${inner}` : String(cause);
  return new OutboxError('OUTBOX_API_UNREACHABLE', `${where}: ${why}`, {
    cause,
    hint: 'Check the address, and that `temporal-outbox run` or `api` serves there. Every call may be repeated.',
  });
}
