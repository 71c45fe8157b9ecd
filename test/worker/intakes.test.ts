/** How long the door of an open batch is open, and what comes through it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { DeliveryRow, OpenedBatch } from '../../src/storage/attempts.ts';
import type { Joined } from '../../src/storage/claims.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { Intakes, over } from '../../src/worker/intakes.ts';

/** Where a relay feeds them they ask the database for nothing but rows that were claimed and not loaded. */
const noDatabase: Queryable = { query: () => Promise.reject(new Error('not to be asked')) };
const idle = (): boolean => false;

function fed(): Intakes {
  const intakes = new Intakes();
  intakes.feedBy({ serves: () => true, opened: () => undefined });
  return intakes;
}

function batchOf(lane: string, batchId = lane): OpenedBatch {
  return { batchId, run: 1, lane, fruitless: 0, configRevision: 1, held: false, suspect: false };
}

function joined(lane: string, ...seqs: readonly string[]): Joined {
  const rows = seqs.map((seq) => ({ seq }) as DeliveryRow);
  return { lane, batchId: lane, rows, rest: [], lastSeq: seqs.at(-1) ?? null, closed: false };
}

test('rows come in the order in which they were claimed, one portion at a time', async () => {
  const intake = fed().open(noDatabase, batchOf('a'));
  expect(intake.wants).toBeGreaterThan(0);
  intake.asks();
  expect(intake.wants).toBe(0);
  intake.answered(joined('a', '1', '2'));
  expect(intake.wants).toBe(0);
  expect((await intake.next(idle)).map(({ seq }) => seq)).toEqual(['1', '2']);
  expect(intake.wants).toBeGreaterThan(0);
});

test('what was asked for before the door closed still comes through it', async () => {
  const intake = fed().open(noDatabase, batchOf('a'));
  intake.asks();
  intake.close();
  const coming = intake.next(idle);
  intake.answered(joined('a', '7'));
  expect((await coming).map(({ seq }) => seq)).toEqual(['7']);
  expect(await intake.next(idle)).toEqual([]);
});

test('a claim whose answer was lost closes the door: what it took must not be overtaken', async () => {
  const intake = fed().open(noDatabase, batchOf('a'));
  intake.asks();
  intake.answered(over(intake.batch));
  expect(intake.accepting).toBe(false);
  expect(intake.wants).toBe(0);
  expect(await intake.next(idle)).toEqual([]);
});

test('a lane’s later batch takes its rows over', () => {
  const intakes = fed();
  const first = intakes.open(noDatabase, batchOf('a', 'one'));
  const second = intakes.open(noDatabase, batchOf('a', 'two'));
  expect([first.accepting, second.accepting]).toEqual([false, true]);
  expect(intakes.of('a')).toBe(second);
  first.close();
  expect(intakes.of('a')).toBe(second);
});

test('lanes that are no longer this relay’s are closed', () => {
  const intakes = fed();
  const [kept, lost] = [intakes.open(noDatabase, batchOf('a')), intakes.open(noDatabase, batchOf('b'))];
  intakes.feedBy({ serves: (lane) => lane === 'a', opened: () => undefined });
  intakes.closeLost();
  expect([kept.accepting, lost.accepting]).toEqual([true, false]);
  kept.close();
});

test('one that got nothing for a moment closes; while answers are under way it stays', async () => {
  const intakes = fed();
  const [quiet, busy] = [intakes.open(noDatabase, batchOf('a')), intakes.open(noDatabase, batchOf('b'))];
  const waiting = busy.next(() => true);
  expect(await quiet.next(idle)).toEqual([]);
  expect([quiet.accepting, busy.accepting]).toEqual([false, true]);
  busy.leave();
  expect(await waiting).toEqual([]);
});

test('where rows keep coming it waits longer than a start takes', async () => {
  const intakes = fed();
  for (let n = 0; n < 12; n++) {
    intakes.noteTraffic('a');
    await sleep(100);
  }
  const intake = intakes.open(noDatabase, batchOf('a'));
  const waiting = intake.next(idle);
  await sleep(150);
  expect(intake.accepting).toBe(true);
  expect(await waiting).toEqual([]);
});

test('with half of the worker’s workflow tasks open none waits for anything', async () => {
  const intakes = fed();
  const open = Array.from({ length: 21 }, (_, n) => intakes.open(noDatabase, batchOf(`lane-${n}`)));
  const [first] = open;
  const waiting = first?.next(() => true);
  expect(first?.accepting).toBe(false);
  expect(await waiting).toEqual([]);
  for (const intake of open) intake.close();
});

test('a batch that nothing joined is followed by none made in advance, whatever came before it', () => {
  const intakes = fed();
  intakes.noteTraffic('a');
  intakes.noteTraffic('a');
  const intake = intakes.open(noDatabase, batchOf('a'));
  expect(intake.isUsed).toBe(false);
  intake.asks();
  intake.answered(joined('a', '1'));
  expect(intake.isUsed).toBe(true);
  intake.close();
});
