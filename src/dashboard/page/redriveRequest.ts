/** What the form of a new redrive asks for, as the API takes it. */
import type { ResolutionAction } from '../../core/command.ts';
import { jsonProblem } from './json.ts';

/** What stands in the fields, texts all. Those of the filter are in the address, so that it can be sent to a colleague. */
export const filterNames = [
  'destination',
  'cause',
  'type',
  'key',
  'status',
  'text',
  'parkedFor',
  'since',
  'until',
  'payload',
  'letters',
] as const;
export type FilterName = (typeof filterNames)[number];

export interface Draft extends Readonly<Record<FilterName, string>> {
  readonly action: ResolutionAction;
  readonly patch: string;
  readonly to: string;
  readonly steps: string;
  readonly rate: string;
  /** Percent. */
  readonly maxFailures: string;
  readonly reason: string;
}

export const emptyDraft = {
  ...(Object.fromEntries(filterNames.map((name) => [name, ''])) as Record<FilterName, string>),
  ...{ action: 'retry', patch: '', to: '', steps: '10', rate: '50', maxFailures: '10', reason: '' },
} as const satisfies Draft;

/** Null: it can be previewed. Otherwise what is to be filled in. */
export function draftProblem(draft: Draft): string | null {
  if (draft.status !== '' && !/^[1-9]\d\d$/.test(draft.status.trim()))
    return 'A status is a number such as 422.';
  if (draft.letters !== '' && !/^\d+([ ,]+\d+)*$/.test(draft.letters.trim()))
    return 'Letters are numbers with commas between.';
  if (!/^[1-9]\d*([ ,]+[1-9]\d*)*$/.test(draft.steps.trim()))
    return 'Steps are numbers of letters with commas between: 1, 5, 50.';
  if (draft.rate !== '' && !(Number(draft.rate) > 0)) return 'A rate is letters a second, above 0.';
  const share = Number(draft.maxFailures);
  if (draft.maxFailures.trim() === '' || !(share >= 0 && share <= 100)) return 'Failures are 0 to 100 %.';
  if (draft.action === 'redirect' && draft.to === '') return 'Choose where to.';
  if (draft.action === 'discard' && draft.reason.trim() === '') return 'To discard, say why.';
  if (draft.action !== 'edit') return null;
  const problem = jsonProblem(draft.patch);
  return problem === null ? null : `The patch: ${problem}`;
}

/** Put together as text: numbers of a patch keep their digits. */
export function bodyOf(draft: Draft): string {
  const { status, letters, action, patch, to, steps, rate, maxFailures, reason, ...texts } = draft;
  const filter = Object.entries(texts).filter(([, text]) => text.trim() !== '');
  const given = {
    ...Object.fromEntries(filter.map(([name, text]) => [name, text.trim()])),
    ...(status.trim() === '' ? {} : { status: Number(status) }),
    ...(letters.trim() === '' ? {} : { letters: numbersOf(letters) }),
  };
  const rest = {
    ...(Object.keys(given).length === 0 ? { all: true } : given),
    action,
    ...(action === 'redirect' ? { to } : {}),
    steps: numbersOf(steps),
    ...(rate.trim() === '' ? {} : { rate: Number(rate) }),
    maxFailures: Number(maxFailures) / 100,
    ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
  };
  const text = JSON.stringify(rest);
  return action === 'edit' ? `${text.slice(0, -1)},"patch":${patch}}` : text;
}

function numbersOf(text: string): number[] {
  return text.trim().split(/[ ,]+/).map(Number);
}
