/** Text as PostgreSQL can hold it: without NUL, and without halves of surrogate pairs. */
export function storable(text: string): string {
  return Buffer.from(text.replaceAll('\0', '\ufffd')).toString();
}
