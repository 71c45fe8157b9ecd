/** Verifies Standard Webhooks 1.0.0, symmetric signatures (`v1`). */
import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { signingSecretProblem } from '../core/secrets.ts';
import { OutboxError } from '../errors.ts';
import { invalid } from '../inbox/message.ts';
import { headerOf, type HeaderSource } from './headers.ts';

export interface VerifierOptions {
  /** How far `webhook-timestamp` may be from this machine's clock, both ways. Default 300. */
  readonly toleranceSeconds?: number;
  /** Milliseconds since 1970. Default Date.now. */
  readonly now?: () => number;
}

export interface VerifiedHeaders {
  /** `webhook-id` */
  readonly id: string;
  /** `webhook-timestamp`: unix seconds of this attempt. */
  readonly timestamp: number;
}

/** `body` as it came over the wire, before anything parsed it. */
export type Verify = (headers: HeaderSource, body: string | Uint8Array) => VerifiedHeaders;

/**
 * A function that throws OUTBOX_SIGNATURE_INVALID for a request that was not signed with one of the secrets within the
 * tolerance.
 *
 * @param secrets `whsec_` and base64 of 24 to 64 bytes; several while they rotate
 * @throws OutboxError OUTBOX_SECRET_MISSING when there is none, or one is malformed; its value is not shown
 */
export function createVerifier(secrets: readonly string[], options: VerifierOptions = {}): Verify {
  const keys = keysOf(secrets);
  const judge = createHeaderJudge(options);
  return (headers, body) => {
    const { id, timestamp, signatures } = judge(headers);
    if (!isSigned(keys, `${id}.${timestamp}.`, body, signatures)) throw unmatched();
    return { id, timestamp: Number(timestamp) };
  };
}

interface SignedHeaders {
  readonly id: string;
  readonly timestamp: string;
  /** The `v1` ones that can be any. */
  readonly signatures: readonly Buffer[];
}

/**
 * What can be said of a request before its body is there: whether it can be signed at all. Throws OUTBOX_SIGNATURE_INVALID; a stranger
 * is refused by it without a byte of his body in memory.
 */
export function createHeaderJudge(options: VerifierOptions = {}): (headers: HeaderSource) => SignedHeaders {
  const { toleranceSeconds = 300, now = Date.now } = options;
  if (typeof toleranceSeconds !== 'number' || !(toleranceSeconds > 0) || toleranceSeconds > 86_400) {
    throw invalid('toleranceSeconds', 'at most 86400', toleranceSeconds);
  }
  return (headers) => {
    const [id, timestamp, given] = (['id', 'timestamp', 'signature'] as const).map((name) =>
      required(headers, `webhook-${name}`),
    ) as [string, string, string];
    // A dot in the id would let the border between id, timestamp and body be moved under the same signature.
    if (id.includes('.')) throw refused('webhook-id holds a dot');
    const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : Number.NaN;
    if (Number.isNaN(seconds)) throw refused('webhook-timestamp is not a whole number of seconds');
    const aheadSeconds = seconds - now() / 1000;
    if (Math.abs(aheadSeconds) > toleranceSeconds) {
      throw refused(
        aheadSeconds > 0 ? 'webhook-timestamp lies in the future' : 'webhook-timestamp is too old',
      );
    }
    const signatures = given
      .split(' ')
      .filter((entry) => entry.startsWith('v1,'))
      .map((entry) => Buffer.from(entry.slice('v1,'.length)))
      .filter(({ length }) => length === signatureLength);
    if (signatures.length === 0) throw unmatched();
    return { id, timestamp, signatures };
  };
}

/** Of 32 bytes in base64. */
const signatureLength = 44;

function unmatched(): OutboxError {
  return refused('no signature matches one of the secrets');
}

function keysOf(secrets: readonly string[]): KeyObject[] {
  if (!Array.isArray(secrets) || secrets.length === 0)
    throw new OutboxError('OUTBOX_SECRET_MISSING', 'secrets: expected at least one signing secret');
  return secrets.map((secret: unknown, index) => {
    const problem =
      typeof secret !== 'string' || secret === ''
        ? 'expected a signing secret; it is missing or empty'
        : signingSecretProblem(secret);
    if (problem === null) return createSecretKey(String(secret).slice('whsec_'.length), 'base64');
    throw new OutboxError('OUTBOX_SECRET_MISSING', `secrets[${index}]: ${problem}`, {
      hint: 'It is the value that the sender signs with; set it in the environment of this process.',
    });
  });
}

/** Every key against every signature, whatever matched before: the time tells nothing. Unknown versions are passed over. */
function isSigned(
  keys: readonly KeyObject[],
  prefix: string,
  body: string | Uint8Array,
  given: readonly Buffer[],
): boolean {
  let matches = false;
  for (const key of keys) {
    // As text: base64 decoders take several spellings for one signature.
    const expected = Buffer.from(createHmac('sha256', key).update(prefix).update(body).digest('base64'));
    for (const each of given) {
      if (timingSafeEqual(each, expected)) matches = true;
    }
  }
  return matches;
}

function required(headers: HeaderSource, name: string): string {
  const value = headerOf(headers, name);
  if (value === undefined || value === '') throw refused(`${name} is missing`);
  return value;
}

function refused(what: string): OutboxError {
  return new OutboxError('OUTBOX_SIGNATURE_INVALID', `the request is refused: ${what}`);
}
