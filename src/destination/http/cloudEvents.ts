/** CloudEvents in HTTP's binding: binary mode's attributes as headers. */
import type { OutgoingMessage } from '../../core/outcome.ts';
import { cloudEventAttributes } from '../shared/cloudEvents.ts';

const needsEncoding = /[^\u0021-\u007e]|["%]/;
const encodable = /[^\u0021-\u007e]|["%]/gu;

/**
 * A value as the HTTP binding wants it in a header (section 3.1.3.2): space, `"`, `%` and everything outside
 * U+0021–7E percent-encoded as UTF-8.
 */
export function percentEncode(value: string): string {
  if (!needsEncoding.test(value)) return value;
  return value.replace(encodable, (character) => {
    let encoded = '';
    for (const byte of Buffer.from(character))
      encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    return encoded;
  });
}

/** Appends the attributes of binary mode to the headers; the content type is the data's own. */
export function pushBinaryAttributes(headers: string[], message: OutgoingMessage): void {
  for (const [name, value] of cloudEventAttributes(message)) headers.push(`ce-${name}`, percentEncode(value));
}
