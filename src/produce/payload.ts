/** A payload → its JSON text, by the rules of JSON.stringify, without what they would ruin in silence. */
import { OutboxError } from '../errors.ts';

/**
 * What JSON.stringify takes: fields that are undefined are left out, `toJSON` is called, so that dates, decimals and entities may stand
 * in it. Refused at run time, anywhere inside: NaN, Infinity, BigInt, functions, symbols, cycles, undefined in a list, and objects of which
 * nothing would be left (Map, Set, RegExp, Error, typed arrays).
 */
export type JsonPayload = string | number | boolean | object | null;

/** JSON.stringify and PostgreSQL both give up on what is nested some thousand levels deep. */
const depthMax = 1000;

/** @throws OutboxError OUTBOX_EVENT_INVALID naming the place inside the payload */
export function stringifyPayload(payload: unknown): string {
  const way = new Way();
  try {
    // `this` is what holds the value, which toJSON has been asked about already.
    const text: string | undefined = JSON.stringify(
      payload,
      function (this: object, key: string, value: unknown) {
        way.goTo(this, key);
        const problem = problemOf(
          value,
          (this as Record<string, unknown>)[key],
          Array.isArray(this) || way.isTop,
        );
        if (problem !== null) throw invalidEvent(way.path, problem);
        if (typeof value === 'object' && value !== null) way.enter(value);
        return value;
      },
    );
    return text;
  } catch (error) {
    if (error instanceof OutboxError) throw error;
    throw invalidEvent(
      way.path,
      `it cannot be made into JSON: ${(error as Error | null)?.message ?? String(error)}`,
      error,
    );
  }
}

/** Where JSON.stringify is: it tells the holder and the key, never the path. */
class Way {
  readonly #holders: object[] = [];
  readonly #keys: string[] = [];

  goTo(holder: object, key: string): void {
    while (this.#holders.length > 0 && this.#holders.at(-1) !== holder) this.#leave();
    // The holder that JSON.stringify itself puts around the payload.
    if (this.#holders.length === 0) this.#holders.push(holder);
    this.#keys.length = this.#holders.length - 1;
    this.#keys.push(key);
  }

  get isTop(): boolean {
    return this.#holders.length === 1;
  }

  enter(value: object): void {
    if (this.#holders.includes(value)) throw invalidEvent(this.path, 'the payload contains itself');
    if (this.#holders.length > depthMax)
      throw invalidEvent('payload', `nested more than ${depthMax} levels deep`);
    this.#holders.push(value);
  }

  get path(): string {
    const steps = this.#keys
      .slice(1)
      .map((key, index) => (Array.isArray(this.#holders[index + 1]) ? `[${key}]` : `.${key}`));
    return `payload${steps.join('')}`;
  }

  #leave(): void {
    this.#holders.pop();
    this.#keys.length = this.#holders.length;
  }
}

/** @param raw the value before its toJSON was called */
function problemOf(value: unknown, raw: unknown, mustBe: boolean): string | null {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? null : `${value} is not JSON`;
    case 'bigint':
      return 'a bigint is not JSON; pass the payload as payloadText to keep every digit';
    case 'function':
    case 'symbol':
      return `a ${typeof value} is not JSON`;
    case 'undefined':
      return mustBe ? 'undefined is not JSON' : null;
    case 'object':
      return problemOfObject(value, raw);
    default:
      return null;
  }
}

const emptied = [
  'Map',
  'Set',
  'WeakMap',
  'WeakSet',
  'WeakRef',
  'Promise',
  'RegExp',
  'Error',
  'ArrayBuffer',
  'SharedArrayBuffer',
];

function problemOfObject(value: object | null, raw: unknown): string | null {
  // An invalid one makes null of itself.
  if (raw instanceof Date && Number.isNaN(raw.getTime())) return 'an invalid Date is not JSON';
  if (value === null) return null;
  if (value instanceof Number && !Number.isFinite(value.valueOf())) return `${value.valueOf()} is not JSON`;
  const name = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (emptied.includes(name) || ArrayBuffer.isView(value))
    return `JSON would keep nothing of ${/^[AE]/.test(name) ? 'an' : 'a'} ${name}; convert it first`;
  return null;
}

export function invalidEvent(where: string, what: string, cause?: unknown): OutboxError {
  return new OutboxError('OUTBOX_EVENT_INVALID', `${where}: ${what}`, {
    hint: 'Nothing was written.',
    ...(cause === undefined ? {} : { cause }),
  });
}
