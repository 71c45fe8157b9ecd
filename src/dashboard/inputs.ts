/** What queries and bodies of the dashboard's API may say. */
import * as z from 'zod';
import { decodeBody, parseObject } from '../http/requests.ts';
import { RequestRefused } from '../http/problem.ts';
import { paramPatterns } from './endpoint.ts';

/** Without NUL and halves of characters, which PostgreSQL does not store. */
export const text = (max: number, min = 1) =>
  z
    .string()
    .min(min)
    .max(max)
    .refine((text) => !/\0|\p{Surrogate}/u.test(text), 'a text without NUL and broken Unicode');

export const reason = text(1000).optional();
export const why = z.strictObject({ reason });
export const note = text(1000, 0).optional();
export const owner = text(100, 0).optional();
export const eventType = text(255);
export const key = text(1024);
export const destination = z.string().regex((paramPatterns['destination'] as { pattern: RegExp }).pattern);
export const cause = z.string().regex((paramPatterns['cause'] as { pattern: RegExp }).pattern);
/** Why a letter was parked: `permanent`. */
export const parkedFor = z.string().regex(/^[a-z][a-z-]{0,60}$/);
export const uuid = z
  .string()
  .regex(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/)
  .transform((id) => id.toLowerCase());
export const headers = z.record(text(255), z.string().max(8192)).optional();

/** From a query, where everything is a text. */
export const limit = (most: number, otherwise: number) =>
  z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .transform(Number)
    .refine((number) => number <= most, `at most ${most}`)
    .default(otherwise);

/** The number that a page of a list ends at. */
export const cursor = z
  .string()
  .regex(/^[1-9]\d{0,14}$/)
  .transform(Number)
  .optional();

/** @throws RequestRefused 400 naming the first field that is wrong */
export function checked(schema: z.ZodType, value: unknown, where: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join('.') ?? '';
  const what =
    issue?.code === 'unrecognized_keys'
      ? `unknown ${issue.keys
          .slice(0, 3)
          .map((name) => JSON.stringify(name.slice(0, 60)))
          .join(', ')}`
      : (issue?.message ?? 'it is malformed');
  throw new RequestRefused(
    400,
    `${where}${field === '' ? '' : ` ${field.slice(0, 100)}`}: ${what.slice(0, 300)}`,
  );
}

/** The text of a JSON object, and what it holds. @throws RequestRefused 400 */
export function readBody(schema: z.ZodType, body: unknown): { text: string; body: unknown } {
  const text = decodeBody(body);
  return { text, body: checked(schema, parseObject(text), 'body') };
}
