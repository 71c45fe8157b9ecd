/** What every process around the outbox shares: a file in which it says what it is about to do, and chance that a restart does not repeat. */
import { createHash, randomBytes } from 'node:crypto';
import { fstatSync, openSync, readSync, writeSync } from 'node:fs';

/**
 * Appends one JSON object a line, at once: what was noted is in the file, whenever this process is killed. (A machine that loses its power
 * is another matter: nothing is forced to disk.)
 */
export function openJournal(path) {
  const file = openSync(path, 'a+');
  const { size } = fstatSync(file);
  const last = Buffer.alloc(1);
  // A line that a kill broke off must not swallow the next one.
  if (size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last.toString() !== '\n')
    writeSync(file, '\n');
  return (news) => void writeSync(file, `${JSON.stringify({ at: Date.now(), ...news })}\n`);
}

/** 0 ≤ x < 1, the same for the same words: by the seed, whoever asks and however often. */
export function chance(...words) {
  return createHash('sha256').update(words.join(' ')).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** RFC 9562. */
export function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}
