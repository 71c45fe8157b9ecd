/** Standard Webhooks 1.0.0, symmetric signatures (`v1`). */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

/** The key of a `whsec_` secret. The caller has checked its form (see `signingSecretProblem`). */
export function signingKey(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret.slice('whsec_'.length), 'base64'));
}

/**
 * The value of `webhook-signature`: `v1,<base64>` for each key, separated by spaces, in the order of the keys.
 *
 * Measured for a payload of 175 bytes: createHmac with a KeyObject over one string 1.5 µs, over a Buffer 1.6 µs, in
 * two updates 1.5 µs, two `crypto.hash` calls with the pads prepared 1.6 µs. The pure-JavaScript reference library
 * takes a quarter of the whole throughput.
 */
export function signatures(
  keys: readonly KeyObject[],
  id: string,
  timestamp: string,
  body: string | Uint8Array,
): string {
  const signed =
    typeof body === 'string' ? `${id}.${timestamp}.${body}` : withBytes(`${id}.${timestamp}.`, body);
  let value = '';
  for (const key of keys) {
    value += `${value === '' ? '' : ' '}v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  }
  return value;
}

function withBytes(before: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(before), body]);
}
