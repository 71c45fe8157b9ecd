/** What of an answer is kept and shown: escaped, cut, without secrets. */
import { printable } from '../../core/printable.ts';

export { printable };

const signature = /v1a?,[A-Za-z0-9+/]{43}[A-Za-z0-9+/=]*/g;

/** The text without the given secrets and without signatures, for receivers that echo what they were sent. */
export function redact(text: string, secrets: readonly string[]): string {
  let redacted = text.replace(signature, '[redacted]');
  for (const secret of secrets) redacted = redacted.replaceAll(secret, '[redacted]');
  return redacted;
}

/** Bytes kept of a failed answer for an excerpt of so many characters: four each, and room to recognise a secret. */
export function excerptBytes(characters: number, maximum: number): number {
  return characters <= 0 ? 0 : Math.min(maximum, characters * 4 + 512);
}

export interface ExcerptSource {
  readonly body: Buffer;
  /** False when more followed: a character cut in two at the end is then left out. */
  readonly complete: boolean;
  /** As the answer states it; anything but identity is not decoded and only named. */
  readonly contentEncoding: string | null;
}

/** The escaped beginning of a response body; null when there is nothing to show. */
export function excerptOf(source: ExcerptSource, secrets: readonly string[], maximum: number): string | null {
  if (maximum <= 0 || source.body.length === 0) return null;
  const encoding = source.contentEncoding?.trim().toLowerCase() ?? '';
  if (encoding !== '' && encoding !== 'identity') return printable(`(${encoding}, not decoded)`, maximum);
  const text = new TextDecoder().decode(source.body, { stream: !source.complete });
  return printable(redact(text, secrets), maximum);
}
