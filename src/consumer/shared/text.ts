/** Headers as brokers have them → text, names in lower case. What is no text is left out, but for numbers and the like. */
export function textHeaders(entries: Iterable<readonly [string, unknown]>): Record<string, string> {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of entries) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value;
    else if (value instanceof Uint8Array) headers[name.toLowerCase()] = Buffer.from(value).toString();
    else if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
      headers[name.toLowerCase()] = String(value);
  }
  return headers;
}

/** Null for what is no text, or empty. */
export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
