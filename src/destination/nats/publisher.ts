import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import type { Connections, Lease } from '../shared/connections.ts';
import { filled, requireSize } from '../shared/failures.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { Template } from '../shared/template.ts';
import { publishFailure } from './answers.ts';
import type { NatsSettings } from './keys.ts';
import { natsMessage, type NatsMessage } from './message.ts';
import { NatsLink, type OpenConnection, type Server } from './connection.ts';
import { declareStream } from './streams.ts';
import { subjectOf } from './subject.ts';

export interface NatsTarget extends NatsSettings {
  /** The destination's. */
  readonly name: string;
  readonly timeoutMs: number;
}

/** Publishes to JetStream: a message is acknowledged by the stream that stored it, never by the server that merely took it. */
export class NatsPublisher implements Publisher {
  readonly #target: NatsTarget;
  readonly #server: Server;
  readonly #lease: Lease<NatsLink>;
  readonly #subject: Template;
  #declared: Promise<void> | undefined;

  constructor(target: NatsTarget, server: Server, connections: Connections) {
    this.#target = target;
    this.#server = server;
    this.#subject = new Template(target.subject);
    this.#lease = connections.use(
      server.key,
      () => new NatsLink(server),
      (link) => link.close(),
    );
  }

  async publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const subject = this.#subjectFor(message);
    const sent = natsMessage(this.#target, message);
    const connection = await this.#lease.connection.connected();
    if (this.#target.declare) await this.#declare(connection);
    // Its deadline passed while the connection was being made.
    if (attempt.done) return;
    requireSize(sizeOf(sent), connection.maxPayload, 'max_payload of the server');
    const about = { label: this.#server.label, subject, isConstant: this.#subject.isConstant };
    try {
      const { duplicate, stream, seq } = await this.#publish(connection, subject, sent, sent.id);
      if (duplicate && !(await isStored(connection, { stream, seq, subject })))
        await this.#publish(connection, subject, sent, `${this.#target.name}/${sent.id}`);
    } catch (error) {
      throw await publishFailure(error, connection, about);
    }
  }

  describe(message: OutgoingMessage): SentRequest {
    const { id, headers } = natsMessage(this.#target, message);
    return {
      address: `${this.#server.label} subject ${this.#subjectFor(message)}`,
      headers: { 'Nats-Msg-Id': id, ...Object.fromEntries(headers) },
    };
  }

  async check(): Promise<void> {
    const { nats } = await this.#lease.connection.connected();
    await nats.flush();
  }

  close(): Promise<void> {
    return this.#lease.release();
  }

  #subjectFor(message: OutgoingMessage): string {
    return subjectOf(filled(this.#subject.fill(message), 'subject'));
  }

  async #publish({ js, headers }: OpenConnection, subject: string, sent: NatsMessage, id: string) {
    const carried = headers();
    for (const [name, value] of sent.headers) carried.append(name, value);
    const { stream, timeoutMs } = this.#target;
    const stored = await js.publish(subject, sent.body, {
      msgID: id,
      headers: carried,
      timeout: timeoutMs,
      ...(stream === null ? {} : { expect: { streamName: stream } }),
    });
    // Whoever listens to the subject may answer: only a stream says where it put the message.
    if (typeof stored.stream !== 'string' || typeof stored.seq !== 'number')
      throw new SyntaxError('an answer that is none of a stream');
    return stored;
  }

  #declare(connection: OpenConnection): Promise<void> {
    const declaring = (this.#declared ??= declareStream(connection, this.#target));
    declaring.catch(() => {
      if (this.#declared === declaring) this.#declared = undefined;
    });
    return declaring;
  }
}

/** As the server counts: with the headers' own framing and the id that is added to them. */
function sizeOf({ headers, body, id }: NatsMessage): number {
  const framing = 'NATS/1.0\r\n\r\n'.length + 'Nats-Msg-Id: \r\n'.length + id.length;
  return headers.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 4,
    framing + body.length,
  );
}

/**
 * Whether what the stream knows under our id is this message: another destination may have put the same event under another
 * subject of the stream, and that one does not stand for ours. What cannot be told is sent again, under an id of this destination.
 */
async function isStored(
  { manager }: OpenConnection,
  { stream, seq, subject }: { readonly stream: string; readonly seq: number; readonly subject: string },
): Promise<boolean> {
  try {
    const streams = (await manager()).streams;
    return (await streams.getMessage(stream, { seq }))?.subject === subject;
  } catch {
    return false;
  }
}
