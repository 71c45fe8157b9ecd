/**
 * What keys of outbox.yaml take, as shapes of zod: every message says what was expected; config/issues.ts adds where and what
 * was found. For the file's own sections and for destination types alike.
 */
import * as z from 'zod';
import { durationExpected, durationPattern, formatDuration, parseDuration } from '../core/duration.ts';
import { bounds } from './limits.ts';

/** Keys and what each takes. */
export type Keys = Readonly<Record<string, z.ZodType>>;

/** What a mapping of these keys holds once it is taken. */
export type InputOf<Shape extends Keys> = z.infer<z.ZodObject<Shape>>;

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A mapping that takes these keys and no others. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const error = (issue: { code?: string | undefined }) =>
    issue.code === 'unrecognized_keys'
      ? undefined
      : `expected a mapping with ${listKeys(Object.keys(shape))}`;
  return z.strictObject(shape, { error });
}

function listKeys(keys: readonly string[]): string {
  return keys.length === 1 ? `the key ${keys[0]}` : `keys such as ${keys.slice(0, 3).join(', ')}`;
}

export function whole({ min, max }: Range) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

export function decimal({ min, max }: Range) {
  const error = `expected a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

export function duration({ min, max }: Range, otherwise = '') {
  const range = `from ${formatDuration(min)} to ${describeLimit(max)}`;
  return z
    .string({ error: `expected ${otherwise}${durationExpected}` })
    .regex(durationPattern, { error: `expected ${otherwise}${durationExpected}`, abort: true })
    .refine((text) => withinRange(text, { min, max }), { error: `expected ${otherwise}a duration ${range}` });
}

/** `0` or a duration: what is zero is not kept at all. */
export function durationOrNone(range: Range) {
  return z.union([z.literal(0), duration(range, '0 or ')], { error: `expected 0 or ${durationExpected}` });
}

function withinRange(text: string, { min, max }: Range): boolean {
  const ms = parseDuration(text);
  return ms !== null && ms >= min && ms <= max;
}

/** 2147483647ms says nothing to a person. */
function describeLimit(max: number): string {
  return max === bounds.waitMs.max ? '24d, the limit of a Node timer,' : formatDuration(max);
}

export function flag() {
  return z.boolean({ error: 'expected true or false' });
}

export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `expected ${values.join(' or ')}` });
}

export const namePattern = /^[a-z][a-z0-9-]{0,62}$/;
export const nameExpected = 'expected 1 to 63 of a-z, 0-9 and -, beginning with a letter';

export function name() {
  return z.string({ error: nameExpected }).regex(namePattern, { error: nameExpected });
}

/** Without control characters: PostgreSQL cannot store NUL, and terminals act on others. Tab and line feed may be. */
export function text({ min, max }: Range, what: string) {
  const error = `expected ${what}, ${min} to ${max} characters and no control characters`;
  const pattern = new RegExp(`^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f]{${min},${max}}$`);
  return z.string({ error }).regex(pattern, { error });
}

/** `env:NAME` or a literal. What is in it is checked by the rules (values.ts) and never printed. */
export function secret() {
  const error = 'expected env:NAME, the name of an environment variable';
  return z.string({ error }).regex(/[\s\S]/, { error });
}

/** For people to follow, so nothing but the web. */
export function link() {
  const error = 'expected an address with http:// or https://, without credentials';
  return z
    .string({ error })
    .max(bounds.urlLength.max, { error })
    .refine((text) => isLink(text), { error });
}

function isLink(text: string): boolean {
  if (!/^https?:\/\/[!-~]+$/.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username + password === '';
}

/**
 * Not `.min` and `.max`: zod runs those on anything with a `length`, and `{ length: { … } }` then throws a TypeError
 * in place of being no list.
 */
export function list<Item extends z.ZodType>(item: Item, { min, max }: Range, what: string) {
  const error = `expected a list of ${min} to ${max} ${what}`;
  return z
    .array(item, { error })
    .refine((items) => items.length >= min && items.length <= max, { error })
    .meta({ minItems: min, maxItems: max });
}
