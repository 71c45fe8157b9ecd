import type { Colours } from './output.ts';
import { printable } from './table.ts';

export interface StoredPayload {
  readonly contentType: string;
  readonly payloadText: string | null;
  readonly payloadBase64: string | null;
}

const bytesAcross = 16;
const linesShown = 8;

/** JSON as it is; of bytes their beginning, in hexadecimal and as text. */
export function payloadShown(
  { payloadText, payloadBase64, contentType }: StoredPayload,
  colours: Colours,
): string {
  // JSON escapes control characters below 0x20; what else could steer a terminal is taken out.
  if (payloadBase64 === null) return `${colours.bold('payload')}\n${printable(payloadText ?? '')}\n`;
  const bytes = Buffer.from(payloadBase64, 'base64');
  const title = `${colours.bold('payload')}  ${bytesSpoken(bytes.length)}, ${printable(contentType)}`;
  const more =
    bytes.length > bytesAcross * linesShown ? colours.dim('…  --json has all of them, in base64\n') : '';
  return `${title}\n${hexLines(bytes)}${more}`;
}

/** In one line, for lists. */
export function payloadInShort({ payloadText, payloadBase64 }: Omit<StoredPayload, 'contentType'>): string {
  if (payloadBase64 === null) return printable(payloadText ?? '');
  const bytes = Buffer.from(payloadBase64, 'base64');
  const head = hexOf(bytes.subarray(0, bytesAcross));
  return `${bytesSpoken(bytes.length)}: ${head}${bytes.length > bytesAcross ? ' …' : ''}`;
}

function bytesSpoken(count: number): string {
  return count === 1 ? '1 byte' : `${count} bytes`;
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
