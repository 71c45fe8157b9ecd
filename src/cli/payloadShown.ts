import { ConfiguredKeys } from '../encryption/configured.ts';
import { readPayload, type ReadPayload, type StoredPayload as Stored } from '../encryption/stored.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Colours } from './output.ts';
import { printable } from './table.ts';
import { counted } from '../core/counted.ts';

/** `encrypted`: as `readPayload` has it. */
type StoredPayload = Stored & Partial<Pick<ReadPayload, 'encrypted'>>;

/** Reads payloads by the keys that the configuration names and this process has; null where there is none. */
export function payloadReader(
  db: Queryable,
): <Holder extends Stored>(
  type: string,
  holder: Holder | undefined,
) => Promise<(Holder & ReadPayload) | null> {
  const keys = new ConfiguredKeys(db, process.env);
  return async (type, holder) =>
    holder === undefined ? null : { ...holder, ...(await readPayload(type, holder, keys)) };
}

const bytesAcross = 16;
const linesShown = 8;

/** JSON as it is; of bytes their beginning, in hexadecimal and as text. */
export function payloadShown(
  { payloadText, payloadBase64, contentType, encrypted }: StoredPayload,
  colours: Colours,
): string {
  if (encrypted != null)
    return (
      encryptionShown(encrypted, colours) + payloadShown({ payloadText, payloadBase64, contentType }, colours)
    );
  // JSON escapes control characters below 0x20; what else could steer a terminal is taken out.
  if (payloadBase64 === null) return `${colours.bold('payload')}\n${printable(payloadText ?? '')}\n`;
  const bytes = Buffer.from(payloadBase64, 'base64');
  const title = `${colours.bold('payload')}  ${counted(bytes.length, 'byte')}, ${printable(contentType)}`;
  const more =
    bytes.length > bytesAcross * linesShown ? colours.dim('…  --json has all of them, in base64\n') : '';
  return `${title}\n${hexLines(bytes)}${more}`;
}

function encryptionShown({ kid, problem }: NonNullable<ReadPayload['encrypted']>, colours: Colours): string {
  if (problem === null) return colours.dim(`encrypted with key ${printable(kid ?? '')}\n`);
  return `${colours.yellow('encrypted')}  ${printable(problem)}\n`;
}

/** In one line, for lists. */
export function payloadInShort({ payloadText, payloadBase64 }: Omit<StoredPayload, 'contentType'>): string {
  if (payloadBase64 === null) return printable(payloadText ?? '');
  const bytes = Buffer.from(payloadBase64, 'base64');
  const head = hexOf(bytes.subarray(0, bytesAcross));
  return `${counted(bytes.length, 'byte')}: ${head}${bytes.length > bytesAcross ? ' …' : ''}`;
}

function hexLines(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < Math.min(bytes.length, bytesAcross * linesShown); at += bytesAcross) {
    const some = bytes.subarray(at, at + bytesAcross);
    const place = at.toString(16).padStart(8, '0');
    text += `${place}  ${hexOf(some).padEnd(bytesAcross * 3 - 1)}  ${asciiOf(some)}\n`;
  }
  return text;
}

function hexOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/..(?=.)/g, '$& ');
}

function asciiOf(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^ -~]/g, '.');
}
