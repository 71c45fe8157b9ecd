/**
 * A workflow may be started by hand, with anything as input. Its task would then fail again and again, a worker busy with it for good; so
 * what it cannot work with is refused at once, and the refusal says what was expected.
 */
import { ApplicationFailure } from '@temporalio/workflow';

type Check = (value: unknown) => boolean;

/** @throws ApplicationFailure, which ends the workflow, for an input that is no object of these fields */
export function checkInput(
  workflow: string,
  input: unknown,
  fields: Readonly<Record<string, readonly [expected: string, check: Check]>>,
): void {
  const given = isObject(input) ? input : refuse(workflow, 'an object as input');
  for (const [field, [expected, check]] of Object.entries(fields))
    if (!check(given[field])) refuse(workflow, `${field}: ${expected}`);
}

function refuse(workflow: string, expected: string): never {
  throw ApplicationFailure.nonRetryable(
    `${workflow} expected ${expected}; temporal-outbox starts it by itself, nobody needs to by hand`,
    'OutboxInputRefused',
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

/** As a configuration names destinations and producers. */
export const nameField = [
  'a name: small letters, digits and -, 63 at most',
  (value: unknown) => typeof value === 'string' && /^[a-z][a-z0-9-]{0,62}$/.test(value),
] as const;

export const timeoutField = [
  'milliseconds, above 0',
  (value: unknown) => typeof value === 'number' && value > 0 && value < 2 ** 31,
] as const;

/** What continue-as-new hands on. */
const carriedFields = {
  signalsBefore: ['a whole number, or nothing', optional((value) => Number.isSafeInteger(value))],
  linesBefore: ['lines of commands, or nothing', optional(listOf(isLine))],
  carriedOver: [
    'commands, or nothing',
    optional(listOf((value) => isObject(value) && isText(value['action']))),
  ],
} as const;

/** That, and the flag that every workflow of ours has which we start ourselves. */
export const commonFields = {
  searchAttributes: ['true or false', (value: unknown) => typeof value === 'boolean'],
  ...carriedFields,
} as const;

/** Why what continue-as-new hands on cannot be that; null when it can. */
export function carriedProblem(given: Readonly<Record<string, unknown>>): string | null {
  for (const [field, [expected, check]] of Object.entries(carriedFields))
    if (!check(given[field])) return `${field}: ${expected}`;
  return null;
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

function isLine(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { at, action, actor, outcome, message } = value;
  return (
    [at, action, outcome, message].every(isText) &&
    (actor === null || isText(actor)) &&
    !Number.isNaN(Date.parse(String(at)))
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}
