import { setTimeout as sleep } from 'node:timers/promises';
import { mayBeAboutRow } from '../src/storage/errors.ts';
import { asError } from './asError.ts';
import type { Evidence } from './evidence.ts';
import { persist, type Patience, type Refused } from './persist.ts';
import type { Unwritten } from './unwritten.ts';

/** A row whose outcome PostgreSQL refuses, alone too. */
export interface Alone<Row> extends Refused<Row> {
  readonly seq: string;
  /** `It was delivered` */
  readonly what: string;
}

/** Between tries, while nobody knows whether it is about the row. */
const againMs = 1_000;

/**
 * Parks rows that are refused while others of their kind are taken: they are not sent again by themselves, and the others do not wait for
 * them. Where none is taken it is not about a row, and all of them wait. `since`: when they were first refused. Answers false when fenced.
 */
export async function settleRefused<Row>(
  {
    evidence,
    unwritten,
    patience,
  }: { readonly evidence: Evidence; readonly unwritten: Unwritten; readonly patience: Patience },
  {
    kind,
    refused,
    since,
    write,
  }: {
    readonly kind: string;
    readonly refused: readonly Alone<Row>[];
    readonly since: number;
    readonly write: (row: Row) => Promise<boolean>;
  },
  park: (seq: string, what: string, error: unknown) => Promise<boolean>,
): Promise<boolean> {
  const suspicion = evidence.suspect(kind, refused.length, since);
  const waiting = unwritten.wait(refused.length);
  /** Whether it was written after all, false when fenced; else what is the row's own. */
  const whetherTaken = async (first: Refused<Row>): Promise<boolean | Refused<Row>> => {
    let refusal = first;
    while (!suspicion.isAboutRow(refusal.at)) {
      waiting.failed(refusal.error);
      if (!suspicion.mayTell())
        await sleep(againMs, undefined, { signal: patience.signal }).catch(() => undefined);
      if (patience.signal.aborted) throw asError(refusal.error);
      const { row } = refusal;
      const again = await persist(() => write(row), { ...patience, count: 0 }, 1).catch((error: unknown) => {
        if (!mayBeAboutRow(error)) throw error;
        return { row, error, at: performance.now() };
      });
      if (typeof again === 'boolean') return again;
      refusal = again;
    }
    return refusal;
  };
  try {
    for (const each of refused) {
      const refusal = await whetherTaken(each);
      if (refusal === false) return false;
      if (refusal !== true && !(await park(each.seq, each.what, refusal.error))) return false;
    }
    return true;
  } finally {
    suspicion.end();
    waiting.over(true);
  }
}
