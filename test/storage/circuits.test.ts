/** Circuits as PostgreSQL keeps them, without anything that sends. All of it as the role that relays and workers have. */
import { beforeEach, expect, test } from 'vitest';
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { acknowledge, chunk, recordFailures } from '../../src/storage/attempts.ts';
import {
  circuitsToWatch,
  claimProbe,
  closeCircuit,
  commandDestination,
  countOutcomes,
  finishProbe,
  halfOpen,
  noteFailedProbe,
  parkPending,
  readStanding,
  returnLostProbe,
  returnRows,
  type AttemptCounts,
  type ClaimedProbe,
} from '../../src/storage/circuits.ts';
import { releaseBatch } from '../../src/storage/claims.ts';
import type { TestDatabase } from '../support/index.ts';
import {
  claim,
  claimedBatch,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  session,
  soleRelay,
  writeEvents,
} from './fixtures.ts';

let database: TestDatabase;
let relay: pg.Client;
beforeEach(async () => {
  database = await databaseWith({ billing: {} });
  relay = await session(database.url);
  await relay.query('set role outbox_relay');
});

const counts = (over: Partial<AttemptCounts> = {}): AttemptCounts => ({
  acknowledged: 0,
  requests: 1,
  sick: 1,
  unreachable: 1,
  answered: false,
  fault: null,
  faults: 0,
  signs: [],
  wentThrough: false,
  ...over,
});

const facts = { reason: 'down', status: 503, errorClass: 'http-503', nextProbeMs: 60_000, windowMs: 30_000 };

async function open(): Promise<void> {
  await relay.query('select outbox.open_circuit($1, $2)', ['billing', JSON.stringify(facts)]);
}

test('counts add up over attempts and processes, and a success tells that a row of failures ended', async () => {
  await countOutcomes(relay, 'billing', counts(), 30_000);
  await countOutcomes(relay, 'billing', counts({ requests: 2, sick: 2, unreachable: 2 }), 30_000);
  expect(await readStanding(relay, 'billing')).toMatchObject({
    requests: 3,
    failures: 3,
    unreachableInARow: 3,
  });
  await countOutcomes(relay, 'billing', counts({ acknowledged: 7 }), 30_000);
  expect(await readStanding(relay, 'billing')).toMatchObject({
    requests: 11,
    failures: 4,
    unreachableInARow: 1,
  });
  await countOutcomes(relay, 'billing', counts({ answered: true, unreachable: 0 }), 30_000);
  expect(await readStanding(relay, 'billing')).toMatchObject({ unreachableInARow: 0 });
  // A window that is over begins anew.
  await countOutcomes(relay, 'billing', counts(), 0);
  expect(await readStanding(relay, 'billing')).toMatchObject({
    requests: 1,
    failures: 1,
    unreachableInARow: 1,
  });
  expect(await countOutcomes(relay, 'nobody', counts(), 30_000)).toBeUndefined();
});

test('what goes back is pending in its place, tried and not charged; a later execution makes it do nothing', async () => {
  const batch = await claimedBatch(database.pool, 3);
  const run = await openRun(relay, batch.workflowId);
  const [first, second] = await rowsOfBatch(database.pool, batch.batchId);
  if (first === undefined || second === undefined) throw new Error('no rows');
  expect(await returnRows(relay, { ...run, run: run.run - 1 }, [failure(first)], { open: facts })).toBeNull();
  expect((await readStanding(relay, 'billing'))?.state).toBe('closed');

  const summary = await returnRows(relay, run, [failure(first)], { open: facts });
  expect(summary).toMatchObject({ left: 0 });
  expect(
    await database.rows(
      'select seq::text, state, tries, attempts, batch_id from outbox.deliveries order by outbox.deliveries.seq',
    ),
  ).toMatchObject([
    { seq: first.seq, state: 'pending', tries: 1, attempts: 0, batch_id: null },
    { seq: second.seq, state: 'pending', tries: 0 },
    { state: 'pending', tries: 0 },
  ]);
  expect(await database.rows('select status, charged from outbox.attempts')).toEqual([
    { status: 500, charged: false },
  ]);
  expect(await readStanding(relay, 'billing')).toMatchObject({
    state: 'open',
    reason: 'down',
    lastStatus: 503,
  });
  // Nothing of it is claimed, and a release of what is gone is none.
  expect(await claim(database.pool, batch.relay)).toEqual([]);
  await releaseBatch(database.pool, batch);
});

test('a charged 5xx of the window is refunded when the circuit opens; a charged 4xx is not', async () => {
  const batch = await claimedBatch(database.pool, 2);
  const run = await openRun(relay, batch.workflowId);
  const [ours, own] = await rowsOfBatch(database.pool, batch.batchId);
  if (ours === undefined || own === undefined) throw new Error('no rows');
  await recordFailures(relay, run, [failure(ours), failure(own, { status: 409, errorClass: 'http-409' })]);
  await open();
  const rows = await rowsOfBatch(database.pool, batch.batchId);
  expect(rows.map(({ tries, attempts }) => [tries, attempts])).toEqual([
    [1, 0],
    [1, 1],
  ]);
});

test('a delivery’s clock stands still while its destination is held', async () => {
  const batch = await claimedBatch(database.pool, 1);
  const run = await openRun(relay, batch.workflowId);
  const [row] = await rowsOfBatch(database.pool, batch.batchId);
  if (row === undefined) throw new Error('no row');
  await recordFailures(relay, run, [failure(row, { delayMs: -1 })]);
  const since = async (): Promise<number> => {
    const rows = await database.rows<{ ms: number }>(
      'select since_first_ms as ms from outbox.load_rows($1, 0, 10, 1000000)',
      [batch.batchId],
    );
    return rows[0]?.ms ?? Number.NaN;
  };
  const hour = `interval '1 hour'`;
  await database.pool.query(`update outbox.deliveries set first_attempt_at = first_attempt_at - ${hour}`);
  expect(await since()).toBeGreaterThan(3_600_000 - 1);
  await open();
  await database.pool.query(`update outbox.circuits set still_since = still_since - ${hour}`);
  // An hour of outage: none of it counts, neither meanwhile nor after it.
  expect(await since()).toBeLessThan(60_000);
  await closeCircuit(relay, 'billing', 'well');
  expect(await since()).toBeLessThan(60_000);
});

test('probes take different events, those tried least first, and the first one of each key', async () => {
  const relayId = await soleRelay(database.pool);
  await writeEvents(database.pool, 6);
  await database.pool.query(`update outbox.deliveries set tries = 3
    where seq in (select seq from outbox.deliveries order by seq limit 4)`);
  await database.pool.query(`update outbox.deliveries set key = 'k' where tries = 0`);
  await open();
  const probe = await claimProbe(relay, 'billing', 3, 60_000, chunk);
  expect(probe?.rows.map(({ tries }) => tries).sort()).toEqual([0, 3, 3]);
  expect(probe?.others).toBe(true);
  // Only the probe holds them: lanes do not claim, and the reconciler does not look for their workflow yet.
  expect(await claim(database.pool, relayId)).toEqual([]);
  const looked = await database.rows(`select 1 from outbox.batches_to_check(interval '0', 10)`);
  expect(looked).toEqual([]);
});

test('what was in a lost probe is asked again when nobody else waits, alone, and is poison when that is lost time and again', async () => {
  const [poison = '', ...others] = await writeEvents(database.pool, 5);
  await open();
  const lose = async () => {
    const probe = await claimProbe(relay, 'billing', 3, 60_000, chunk);
    expect(await returnLostProbe(relay, 'billing')).toBe(1);
    return probe?.rows.map(({ eventId }) => eventId) ?? [];
  };
  const settle = async (probe: ClaimedProbe | undefined) => {
    if (probe === undefined) throw new Error('nothing was claimed');
    await acknowledge(
      relay,
      probe.batch,
      probe.rows.map(({ seq }) => seq),
      true,
    );
    await finishProbe(relay, probe.batch, 200);
  };
  const first = await lose();
  expect(first).toContain(poison);
  expect(first).toHaveLength(3);
  // The two that were not in it are the next probe.
  const second = await claimProbe(relay, 'billing', 3, 60_000, chunk);
  expect(second?.rows.map(({ eventId }) => eventId).sort()).toEqual(
    others.filter((id) => !first.includes(id)).sort(),
  );
  await settle(second);
  // Of the three one at a time: the innocent go through, the other one is lost until it is parked.
  for (let round = 0; round < 8; round += 1) {
    const probe = await claimProbe(relay, 'billing', 3, 60_000, chunk);
    if (probe === undefined) break;
    expect(probe.rows).toHaveLength(1);
    if (probe.rows[0]?.eventId === poison) expect(await returnLostProbe(relay, 'billing')).toBe(1);
    else await settle(probe);
  }
  expect(
    await database.rows('select event_id as id, reason, last_error_class as class from outbox.dead_letters'),
  ).toEqual([{ id: poison, reason: 'poison', class: 'worker-lost' }]);
  expect(await database.rows('select state from outbox.deliveries')).toEqual([{ state: 'parked' }]);
});

test('what a probe leaves gets workflows of its own', async () => {
  await writeEvents(database.pool, 2);
  await open();
  const probe = await claimProbe(relay, 'billing', 3, 60_000, chunk);
  if (probe === undefined) throw new Error('nothing was claimed');
  await recordFailures(
    relay,
    probe.batch,
    probe.rows.map((row) => failure(row)),
  );
  const singles = await finishProbe(relay, probe.batch, 200);
  expect(singles?.map(({ workflowId }) => workflowId).sort()).toEqual(
    probe.rows.map(({ eventId }) => `${database.name}/deliver/billing/${eventId}`).sort(),
  );
});

test('half-open is only what was open and is not paused', async () => {
  expect(await halfOpen(relay, 'billing')).toBe(false);
  await open();
  expect(await halfOpen(relay, 'billing')).toBe(true);
  await noteFailedProbe(relay, 'billing', facts);
  expect(await readStanding(relay, 'billing')).toMatchObject({ state: 'open', failedProbes: 1 });
  await commandDestination(relay, 'billing', { action: 'pause' }, 'signal');
  expect(await halfOpen(relay, 'billing')).toBe(false);
});

test('a held destination is looked for once in a while, by one relay, and at once when it is new', async () => {
  expect(await circuitsToWatch(relay, 60_000, 10)).toEqual([]);
  await open();
  expect(await circuitsToWatch(relay, 60_000, 10)).toEqual([{ destination: 'billing', fresh: true }]);
  expect(await circuitsToWatch(relay, 60_000, 10)).toEqual([]);
  expect(await circuitsToWatch(relay, 0, 10)).toEqual([{ destination: 'billing', fresh: false }]);
});

test('a command acts once, however often it comes; nothing is parked of a destination that is not paused', async () => {
  const command = { action: 'pause', actor: 'ada', commandId: randomUUID() } as const;
  expect(await commandDestination(relay, 'billing', command, 'signal')).toMatchObject({ outcome: 'done' });
  await commandDestination(relay, 'billing', { action: 'resume' }, 'signal');
  expect(await commandDestination(relay, 'billing', command, 'signal')).toMatchObject({
    outcome: 'done',
    message: expect.stringContaining('carried out before') as string,
  });
  expect((await readStanding(relay, 'billing'))?.paused).toBe(false);
  await writeEvents(database.pool, 3);
  expect(await parkPending(relay, 'billing', randomUUID(), 0, 10)).toBe(0);
  expect(await commandDestination(relay, 'nobody', { action: 'pause' }, 'signal')).toMatchObject({
    outcome: 'refused',
  });
});

test('a destination taken out of the configuration takes its circuit with it', async () => {
  await open();
  await database.pool.query(`delete from outbox.destinations where name = 'billing'`);
  expect(await readStanding(relay, 'billing')).toBeUndefined();
  expect(await database.rows('select 1 from outbox.circuits')).toEqual([]);
});
