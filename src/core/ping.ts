/** The message of `destinations test`: what it is called, and what it says of itself. */
export const pingType = 'outbox.ping';

const begins = 'A test of destination ';

export function pingPayload(destination: string): string {
  const text = `${begins}${destination}, sent by "temporal-outbox destinations test". It stands for no event.`;
  return JSON.stringify({ ping: true, text });
}

/** Whether a verified body is a ping's, as it is or in a structured CloudEvent. By the body alone: a header's type is not signed. */
export function isPingBody(body: Uint8Array): boolean {
  try {
    const parsed = JSON.parse(new TextDecoder().decode(body)) as { readonly data?: unknown } | null;
    const { ping, text } = (parsed?.data ?? parsed ?? {}) as { ping?: unknown; text?: unknown };
    return ping === true && typeof text === 'string' && text.startsWith(begins);
  } catch {
    return false;
  }
}
