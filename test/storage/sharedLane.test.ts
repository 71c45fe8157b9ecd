/** Batches that mix destinations: what leaves them, and what becomes of the rest. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sharedLane } from '../../src/core/sharedLane.ts';
import {
  acknowledge,
  breakUp,
  chunk,
  finishAttempt,
  openBatch,
  recordFailures,
  type BatchRun,
} from '../../src/storage/attempts.ts';
import { parkBatch } from '../../src/storage/recovery.ts';
import {
  claimShared,
  handBack,
  lanesWithWork,
  callOff,
  partOff,
  type SharedAsk,
} from '../../src/storage/sharedLane.ts';
import type { TestDatabase } from '../support/index.ts';
import {
  databaseWith,
  failure,
  rowsOfBatch,
  soleRelay,
  writeEvents,
  type DeliveryState,
} from './fixtures.ts';

const ask: SharedAsk = {
  after: '0',
  among: null,
  share: true,
  own: [],
  aside: [],
  into: null,
  limit: null,
};

interface Mixed {
  readonly database: TestDatabase;
  readonly relay: string;
  readonly run: BatchRun;
  readonly workflowId: string;
  /** By destination, in order. */
  readonly seqs: Readonly<Record<string, string[]>>;
}

const names = ['a', 'b', 'c'];
const routes = `[${names.map((name) => `{ match: '${name}', to: [${name}] }`).join(', ')}]`;

async function three(): Promise<TestDatabase> {
  return databaseWith({ a: {}, b: {}, c: {} }, routes);
}

/** A batch with two rows for each of three destinations. */
async function mixed(): Promise<Mixed> {
  const database = await three();
  const relay = await soleRelay(database.pool);
  for (const name of [...names, ...names]) await writeEvents(database.pool, 1, name);
  const { batch } = await claimShared(database.pool, relay, ask, chunk);
  const { batch: run, rows = [] } = batch?.opened ?? {};
  if (run === undefined || batch === null) throw new Error('nothing was claimed');
  const seqs = Object.fromEntries(
    names.map((name) => [name, rows.filter(({ destination }) => destination === name).map(({ seq }) => seq)]),
  );
  return { database, relay, run, workflowId: batch.workflowId, seqs };
}

function statesOf({ rows }: TestDatabase): Promise<{ at: string }[]> {
  return rows(
    `select d.destination || ' ' || d.state || coalesce(' in ' || b.lane, '') as at
     from outbox.deliveries d left join outbox.batches b on b.id = d.batch_id order by d.destination, d.seq`,
  );
}

const at = (...lines: string[]) => lines.map((line) => ({ at: line }));

test('a destination that leaves takes what is under way along, the rest of it goes back, the others stay', async () => {
  const { database, run, seqs } = await mixed();
  const [first = '', second = ''] = seqs['b'] ?? [];
  const part = randomUUID();
  const leaver = { destination: 'b', part, kept: [first] };
  expect(await partOff(database.pool, run, [leaver])).toMatchObject([{ part, returned: [second] }]);
  // Its answer may have been lost.
  expect(await partOff(database.pool, run, [leaver])).toMatchObject([{ part, returned: [] }]);
  expect(await statesOf(database)).toEqual(
    at(
      ...Array<string>(2).fill(`a claimed in ${sharedLane}`),
      'b claimed in b',
      'b pending',
      ...Array<string>(2).fill(`c claimed in ${sharedLane}`),
    ),
  );
  const own = { batchId: part, run: 1 };
  expect(await finishAttempt(database.pool, own, [first], { maxSingles: 200, keep: true })).toMatchObject({
    left: 0,
  });
  expect(await database.rows('select lane, open from outbox.batches')).toEqual([
    { lane: sharedLane, open: 4 },
  ]);
});

test('several that leave at one moment leave together, each into a batch of its own', async () => {
  const { database, run, seqs } = await mixed();
  const leavers = ['a', 'c'].map((name) => ({
    destination: name,
    part: randomUUID(),
    kept: (seqs[name] ?? []).slice(0, 1),
  }));
  const parted = await partOff(database.pool, run, leavers);
  expect(new Map(parted?.map(({ part, returned }) => [part, returned]))).toEqual(
    new Map(leavers.map(({ destination, part }) => [part, seqs[destination]?.slice(1)])),
  );
  expect(await statesOf(database)).toEqual(
    at(
      ...['a claimed in a', 'a pending'],
      ...Array<string>(2).fill(`b claimed in ${sharedLane}`),
      ...['c claimed in c', 'c pending'],
    ),
  );
});

test('a failed delivery whose workflow was not started yet goes back to its lane when the circuit opens, one that was stays', async () => {
  const { database, run, seqs } = await mixed();
  const { pool } = database;
  const workflows: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    const part = { batchId: randomUUID(), run: 1 };
    const [seq = ''] = seqs[name] ?? [];
    await partOff(pool, run, [{ destination: name, part: part.batchId, kept: [seq] }]);
    const [row] = await rowsOfBatch(pool, part.batchId);
    await recordFailures(pool, part, [failure(row as DeliveryState, { delayMs: 5_000 })]);
    const summary = await finishAttempt(pool, part, [], { maxSingles: 200, keep: true });
    workflows.push(...(summary?.singles ?? []).map(({ workflowId }) => workflowId));
  }
  const [a = '', b = '', c = ''] = workflows;
  await openBatch(pool, b, randomUUID(), chunk);
  expect(await callOff(pool, workflows)).toEqual([]);
  await pool.query(
    `insert into outbox.circuits (destination, state, next_probe_at, opened_at) values ('a', 'open', now(), now()), ('b', 'open', now(), now())
     on conflict (destination) do update set state = 'open', next_probe_at = now(), opened_at = now()`,
  );
  expect(await callOff(pool, workflows)).toEqual([a]);
  expect(await callOff(pool, workflows)).toEqual([]);
  expect(
    await database.rows(
      `select destination, state, tries from outbox.deliveries where tries > 0 order by destination`,
    ),
  ).toEqual([
    { destination: 'a', state: 'scheduled', tries: 1 },
    { destination: 'b', state: 'retry', tries: 1 },
    { destination: 'c', state: 'retry', tries: 1 },
  ]);
  expect(
    await database.rows('select 1 from outbox.batches where workflow_id = any ($1)', [[a, c]]),
  ).toHaveLength(1);
});

test('an execution that was fenced parts nothing off and hands nothing back', async () => {
  const { database, run, workflowId, seqs } = await mixed();
  await openBatch(database.pool, workflowId, randomUUID(), chunk);
  const leaver = { destination: 'b', part: randomUUID(), kept: seqs['b'] ?? [] };
  expect(await partOff(database.pool, run, [leaver])).toBeUndefined();
  expect(await handBack(database.pool, run, seqs['b'] ?? [])).toBe(false);
  expect(await database.rows(`select 1 from outbox.deliveries where state <> 'claimed'`)).toEqual([]);
});

test('what came too late goes back, and is found again', async () => {
  const { database, relay, run, seqs } = await mixed();
  expect(await handBack(database.pool, run, seqs['c'] ?? [])).toBe(true);
  expect(await lanesWithWork(database.pool)).toEqual(['c']);
  const again = await claimShared(database.pool, relay, { ...ask, among: ['c'] }, chunk);
  expect(again.batch?.size).toBe(2);
});

test('before it is sent again, what is held goes back; what is left of one destination alone is its own', async () => {
  const { database, workflowId } = await mixed();
  await database.pool.query(`update outbox.destinations set paused_at = now() where name = 'a'`);
  const again = await openBatch(database.pool, workflowId, randomUUID(), chunk);
  expect(again?.batch).toMatchObject({ lane: sharedLane, held: false });
  expect(again?.rows.map(({ destination }) => destination)).toEqual(['b', 'c', 'b', 'c']);
  await database.pool.query(
    `update outbox.deliveries set state = 'pending', batch_id = null where destination = 'b'`,
  );
  const third = await openBatch(database.pool, workflowId, randomUUID(), chunk);
  expect(third?.batch.lane).toBe('c');
});

test('of a workflow that was ended each destination parks its own, in a batch whose workflow is named', async () => {
  const { database, workflowId } = await mixed();
  expect(await parkBatch(database.pool, workflowId, 'terminated')).toBe(6);
  expect(await statesOf(database)).toEqual(
    at(...names.flatMap((name) => Array<string>(2).fill(`${name} parked in ${name}`))),
  );
  const others = await database.rows(
    `select 1 from outbox.dead_letters l join outbox.batches b on b.workflow_id = l.workflow_id where b.lane = l.destination`,
  );
  expect(others).toHaveLength(6);
});

test('one over which workers are lost is broken up into parts of one destination each', async () => {
  const { database, run } = await mixed();
  const summary = await breakUp(database.pool, run);
  expect(summary?.singles.map(({ lane }) => lane).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
});

test('keys are a destination’s own: one is free while another destination holds one of the same name', async () => {
  const { database, run, seqs } = await mixed();
  await database.pool.query(`update outbox.deliveries set key = 'k'`);
  await database.pool.query(
    `update outbox.deliveries set state = 'blocked', batch_id = null where seq = any ($1::bigint[])`,
    [names.map((name) => seqs[name]?.[1])],
  );
  expect(await acknowledge(database.pool, run, [seqs['a']?.[0] ?? ''], true)).toBe(true);
  expect(await statesOf(database)).toEqual(
    at('a pending', `b claimed in ${sharedLane}`, 'b blocked', `c claimed in ${sharedLane}`, 'c blocked'),
  );
});

test('nothing is claimed for lanes that another relay owns, that are held, set aside, or have batches of their own', async () => {
  const database = await three();
  await soleRelay(database.pool);
  for (const name of names) await writeEvents(database.pool, 1, name);
  expect((await claimShared(database.pool, randomUUID(), ask, chunk)).batch).toBeNull();
  await database.pool.query(`update outbox.lanes set owner = null, lease_until = '-infinity'`);
  const relay = await soleRelay(database.pool);
  await database.pool.query('delete from outbox.relays where id <> $1', [relay]);
  await database.pool.query(`update outbox.lanes set owner = $1, lease_until = now() + interval '1 hour'`, [
    relay,
  ]);
  const claim = await claimShared(database.pool, relay, { ...ask, own: ['a'], aside: ['b'] }, chunk);
  expect(claim.own).toEqual(['a']);
  expect(claim.batch?.opened?.rows.map(({ destination }) => destination)).toEqual(['c']);
});
