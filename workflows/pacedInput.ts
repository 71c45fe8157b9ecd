/** What paced work, a redrive or a replay, is started with: the number or id of what was frozen before, or a request to freeze. */
import { objectProblem } from '../src/core/paced.ts';
import { carriedProblem } from './checkInput.ts';

/** Set by continue-as-new, and no part of a request. */
const carriedFields = ['signalsBefore', 'linesBefore', 'carriedOver'];

export interface FrozenField {
  readonly name: string;
  /** What its value is, for whoever gave another. */
  readonly expected: string;
  readonly check: (value: unknown) => boolean;
  /** Of a request. */
  readonly example: string;
}

export type PacedStart<Id> = { readonly frozen: Id } | { readonly request: Record<string, unknown> };

/** Answers what was not understood as a text; never throws: a person may have typed anything. */
export function pacedStart<Id>(input: unknown, field: FrozenField): PacedStart<Id> | string {
  const noObject = objectProblem(input, field.example);
  if (noObject !== null) return noObject;
  const given = input as Record<string, unknown>;
  const problem = carriedProblem(given);
  if (problem !== null) return problem;
  const frozen = given[field.name];
  if (frozen !== undefined) {
    return field.check(frozen) ? { frozen: frozen as Id } : `"${field.name}" is ${field.expected}`;
  }
  const own = Object.entries(given).filter(([name]) => !carriedFields.includes(name) && name !== field.name);
  return { request: Object.fromEntries(own) };
}
