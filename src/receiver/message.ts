import type { AppliedBefore } from '../inbox/claim.ts';
import type { Message } from '../inbox/message.ts';
import { Refusal } from './answers.ts';
import { headerOf, type HeaderSource } from './headers.ts';

/** A verified message as the handler gets it. */
export class ReceivedMessage {
  /** `webhook-id` as it came: `<event id>`, or `<event id>:r2` once edited. */
  readonly webhookId: string;
  /** The event, whatever its revision. */
  readonly messageId: string;
  /** 1 as written; each edit adds one. */
  readonly revision: number;
  /** With `onRevision: 'apply'`: the revision whose effect is still there. Else null. */
  readonly replaces: AppliedBefore | null;
  /** `order.created`; null where the sender does not say. Signed only with `cloudEvents: structured`: else it is a header's. */
  readonly type: string | null;
  /** `outbox-attempt`: 1 for the first; null where the sender does not say. */
  readonly attempt: number | null;
  /** Unix seconds of this attempt. */
  readonly timestamp: number;
  readonly headers: HeaderSource;
  /** The bytes as they came. */
  readonly body: Uint8Array;
  readonly #message: Message;

  constructor(
    webhookId: string,
    timestamp: number,
    message: Message,
    headers: HeaderSource,
    body: Uint8Array,
    replaces: AppliedBefore | null = null,
  ) {
    this.webhookId = webhookId;
    this.messageId = message.messageId;
    this.revision = message.revision;
    this.timestamp = timestamp;
    this.headers = headers;
    this.body = body;
    this.replaces = replaces;
    this.type =
      typeOfEnvelope(headers, body) ??
      decoded(headerOf(headers, 'outbox-event-type') ?? headerOf(headers, 'ce-type'));
    const attempt = Number(headerOf(headers, 'outbox-attempt'));
    this.attempt = Number.isSafeInteger(attempt) && attempt > 0 ? attempt : null;
    this.#message = message;
  }

  replacing(replaces: AppliedBefore | null): ReceivedMessage {
    if (replaces === null) return this;
    return new ReceivedMessage(
      this.webhookId,
      this.timestamp,
      this.#message,
      this.headers,
      this.body,
      replaces,
    );
  }

  /** A header by its name in lower case; undefined when absent. */
  header(name: string): string | undefined {
    return headerOf(this.headers, name);
  }

  text(): string {
    return Buffer.from(this.body.buffer, this.body.byteOffset, this.body.byteLength).toString('utf8');
  }

  /**
   * The payload. Nothing is checked but that it is JSON; numbers beyond 2^53 are rounded, as JSON.parse does: read them from
   * {@link text}, or hand that to PostgreSQL as jsonb.
   *
   * @throws Refusal 422 when it is not JSON
   */
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch {
      throw new Refusal(422, 'the body is not JSON');
    }
  }
}

/** The sender percent-encodes what a header could not carry. */
function decoded(value: string | undefined): string | null {
  if (value === undefined) return null;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** With `cloudEvents: structured` the type is in the body, and so under the signature. */
function typeOfEnvelope(headers: HeaderSource, body: Uint8Array): string | null {
  if (!/^application\/cloudevents\+json\b/i.test(headerOf(headers, 'content-type') ?? '')) return null;
  try {
    const { type } = JSON.parse(new TextDecoder().decode(body)) as { type?: unknown };
    return typeof type === 'string' ? type : null;
  } catch {
    return null;
  }
}
