/** Where an answer begins on a connection: interim ones (1xx) before it are skipped, and whether any byte of it came is known. */
import type { Socket } from 'node:net';

/** Bytes of one interim answer; what is longer is handed on, and is then no answer that can be read. */
const interimBytes = 16 * 1024;
/** `HTTP/1.1 1xx`: a status that is known to be interim. */
const statusEnd = 12;
const nothing = Buffer.alloc(0);

/** What came on one connection since the request at hand was written. */
export interface AnswerStart {
  /** Something came that is not an interim answer as HTTP has it: an answer began, whatever it is. */
  readonly begun: boolean;
}

const starts = new WeakMap<object, AnswerStart>();

/** Of a socket that {@link skipInterimAnswers} was given; undefined for another. */
export function answerStartOf(socket: object): AnswerStart | undefined {
  return starts.get(socket);
}

/**
 * RFC 9110, section 15.2: a client must be able to take interim answers that it did not ask for. undici ends the connection at a
 * `100 Continue`, and offers nothing to change that; node:http skips it, at three times the CPU for each message. So they are taken
 * out of what undici reads. It sends one request at a time on a connection, so the first bytes after a write are those of an answer's head, and
 * what follows them is passed on untouched. `101 Switching Protocols` is final, and stays.
 */
export function skipInterimAnswers<T extends Socket>(socket: T): T {
  const start = new Start();
  starts.set(socket, start);
  const write = socket.write.bind(socket);
  socket.write = ((...given: Parameters<Socket['write']>) => {
    start.expect();
    return write(...given);
  }) as Socket['write'];
  const read: (size?: number) => Buffer | null = socket.read.bind(socket);
  socket.read = (size?: number): Buffer | null => (start.expecting ? start.read(read) : read(size));
  return socket;
}

class Start implements AnswerStart {
  expecting = false;
  begun = false;
  #held: Buffer = nothing;
  expect(): void {
    this.expecting = true;
    this.begun = false;
  }

  /** What is left of what came, without interim answers; null while it cannot be told yet. */
  read(read: () => Buffer | null): Buffer | null {
    for (;;) {
      const chunk = read();
      if (chunk === null) return null;
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
      const rest = this.#withoutInterim();
      if (rest !== null) return rest;
    }
  }

  #withoutInterim(): Buffer | null {
    while (this.#held.length > 0) {
      const kind = kindOf(this.#held);
      const end = kind === 'interim' ? headEnd(this.#held) : -1;
      // Half of an interim answer is one too, until it ends.
      this.begun = kind === 'other' || (kind === 'short' && end === -1);
      if (kind === 'other' || (kind === 'interim' && end === -1 && this.#held.length > interimBytes))
        return this.#handOn();
      if (end === -1) return null;
      this.#held = this.#held.subarray(end);
      this.begun = this.#held.length > 0;
    }
    return null;
  }

  #handOn(): Buffer {
    const rest = this.#held;
    this.#held = nothing;
    this.begun = true;
    this.expecting = false;
    return rest;
  }
}

const statusLine = 'HTTP/1.x 1xx';

/** `short`: it may become an interim answer yet. */
function kindOf(bytes: Buffer): 'interim' | 'short' | 'other' {
  const text = bytes.toString('latin1', 0, statusEnd + 1);
  for (let index = 0; index < Math.min(text.length, statusEnd); index++) {
    const expected = statusLine[index];
    const given = text[index] as string;
    if (expected === 'x' ? given < '0' || given > '9' : given !== expected) return 'other';
  }
  if (text.length <= statusEnd) return 'short';
  if (text.startsWith('101', statusEnd - 3)) return 'other';
  return /[ \r\n]/.test(text[statusEnd] as string) ? 'interim' : 'other';
}

/** Behind the empty line that ends a head, with or without carriage returns; -1 when it did not come yet. */
function headEnd(bytes: Buffer): number {
  const end = bytes.indexOf('\r\n\r\n');
  const bare = bytes.indexOf('\n\n');
  if (bare !== -1 && (end === -1 || bare < end)) return bare + 2;
  return end === -1 ? -1 : end + 4;
}
