/** Rows that join an open batch: who has them, whatever comes first. Two connections step through it. */
import { expect, test } from 'vitest';
import {
  acknowledge,
  chunk,
  finishAttempt,
  giveBack,
  loadRows,
  recordFailures,
  type BatchSummary,
} from '../../src/storage/attempts.ts';
import {
  claimInto,
  claimRows,
  releaseBatch,
  type Ask,
  type ClaimedBatch,
  type Joinable,
  type Joined,
} from '../../src/storage/claims.ts';
import { parkBatch } from '../../src/storage/recovery.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import {
  claim,
  claimOpen,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  session,
  soleRelay,
  writeEvents,
  yamlOf,
  type DestinationOptions,
} from './fixtures.ts';

const options = { maxSingles: 200, keep: true };

interface Opened extends TestDatabase {
  readonly relay: string;
  readonly batch: ClaimedBatch;
  readonly into: Joinable;
}

/** A batch of `count` events in its first attempt. */
async function openBatchOf(count: number, database: TestDatabase): Promise<Opened> {
  await writeEvents(database.pool, count);
  const relay = await soleRelay(database.pool);
  const [batch] = await claimOpen(database.pool, relay);
  const into = batch?.opened?.batch;
  if (batch === undefined || into === undefined) throw new Error('nothing was claimed');
  return { ...database, relay, batch, into };
}

async function opened(count = 1, billing: DestinationOptions = {}): Promise<Opened> {
  return openBatchOf(count, await databaseWith({ billing }));
}

/** What a relay's claim into the batch answers; undefined when it answers nothing. */
async function join(
  { pool, relay, into }: Opened,
  over: Partial<Ask> = {},
  db: Queryable = pool,
): Promise<Joined | undefined> {
  const ask = { lane: 'billing', after: '0', into, limit: 500, ...over };
  const { batches, joined } = await claimRows(db, relay, [ask], 60_000, chunk);
  expect(batches).toEqual([]);
  return joined[0];
}

const seqsOf = (joined: Joined | undefined): string[] => joined?.rows.map(({ seq }) => seq) ?? [];

async function states({ rows }: TestDatabase): Promise<Record<string, number>> {
  const counted = await rows<{ state: string; n: number }>(
    'select state, count(*)::int as n from outbox.deliveries group by state',
  );
  return Object.fromEntries(counted.map(({ state, n }) => [state, n]));
}

async function sizes({ rows }: TestDatabase): Promise<unknown> {
  return rows('select size, open, active from outbox.batches order by claimed_at');
}

function finish({ into }: Opened, seqs: readonly string[], db: Queryable): Promise<BatchSummary | null> {
  return finishAttempt(db, into, seqs, options);
}

test('rows that arrive join the batch, are answered with what is sent, and count in its size and window', async () => {
  const stage = await opened(2);
  const ids = await writeEvents(stage.pool, 3);
  const joined = await join(stage);
  expect(joined?.rows.map(({ eventId }) => eventId)).toEqual(ids);
  expect(joined).toMatchObject({ rest: [], lastSeq: '5', closed: false });
  expect(await sizes(stage)).toEqual([{ size: 5, open: 5, active: true }]);
  expect(await join(stage)).toBeUndefined();
});

test('what does not fit a chunk joins all the same, and is named', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 3);
  const ask = { lane: 'billing', after: '0', into: stage.into, limit: 500 };
  const { joined } = await claimRows(stage.pool, stage.relay, [ask], 60_000, { rows: 500, bytes: 16 });
  expect(seqsOf(joined[0])).toEqual(['2', '3']);
  expect(joined[0]?.rest).toEqual(['4']);
  expect(await states(stage)).toEqual({ claimed: 4 });
});

test('the claim comes first, the end waits for it and sees its rows', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  const claiming = await session(stage.url);
  await claiming.query('begin');
  expect(seqsOf(await join(stage, {}, claiming))).toEqual(['2']);
  const finishing = finish(stage, ['1'], stage.pool);
  await claiming.query('select pg_sleep(0.1)');
  await claiming.query('commit');
  expect(await finishing).toMatchObject({ left: 1, unsent: 1 });
  // The attempt's last look.
  expect((await loadRows(stage.pool, stage.into.batchId, '0', chunk)).map(({ seq }) => seq)).toEqual(['2']);
  expect(await finish(stage, ['2'], stage.pool)).toMatchObject({ left: 0 });
  expect(await sizes(stage)).toEqual([]);
});

test('the end comes first: the claim does not wait, takes nothing, and then hears that it is over', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  const finishing = await session(stage.url);
  await finishing.query('begin');
  expect(await finish(stage, ['1'], finishing)).toMatchObject({ left: 0 });
  expect(await join(stage)).toBeUndefined();
  await finishing.query('commit');
  expect(await join(stage)).toMatchObject({ rows: [], closed: true });
  expect(await states(stage)).toEqual({ pending: 1 });
  expect(await claim(stage.pool, stage.relay)).toMatchObject([{ size: 1 }]);
});

test('the end comes first and is rolled back: the batch takes in rows as before', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  const finishing = await session(stage.url);
  await finishing.query('begin');
  await finish(stage, ['1'], finishing);
  await finishing.query('rollback');
  expect(seqsOf(await join(stage))).toEqual(['2']);
});

test('the claim is rolled back: the rows are pending, and the end does not see them', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  const claiming = await session(stage.url);
  await claiming.query('begin');
  await join(stage, {}, claiming);
  await claiming.query('rollback');
  expect(await finish(stage, ['1'], stage.pool)).toMatchObject({ left: 0 });
  expect(await states(stage)).toEqual({ pending: 1 });
});

test('an end that leaves failures behind has closed the batch: nothing joins what is retrying or parked', async () => {
  for (const park of [null, 'exhausted']) {
    const stage = await opened(1, { splitUpTo: 0 });
    const [row] = await rowsOfBatch(stage.pool, stage.into.batchId);
    if (row === undefined) throw new Error('no row');
    await recordFailures(stage.pool, stage.into, [failure(row, { park })]);
    expect(await finish(stage, [], stage.pool)).toMatchObject({ left: 1, unsent: 0 });
    await writeEvents(stage.pool, 1);
    expect(await join(stage)).toMatchObject({ rows: [], closed: true });
    expect(await states(stage)).toMatchObject({ pending: 1 });
  }
});

test('what joined and was not handed over is found by the last look, whatever was acknowledged meanwhile', async () => {
  const stage = await opened(2);
  await writeEvents(stage.pool, 2);
  await join(stage); // its answer is lost
  await acknowledge(stage.pool, stage.into, ['1'], true);
  expect(await finish(stage, ['2'], stage.pool)).toMatchObject({ left: 2, unsent: 2 });
  expect((await loadRows(stage.pool, stage.into.batchId, '0', chunk)).map(({ seq }) => seq)).toEqual([
    '3',
    '4',
  ]);
});

test('what the attempt leaves unsent is the next execution’s, rows that joined in between too', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  expect(await finish(stage, [], stage.pool)).toMatchObject({ left: 1, unsent: 1 });
  await join(stage);
  const next = await openRun(stage.pool, stage.batch.workflowId);
  expect(next.run).toBe(2);
  expect((await loadRows(stage.pool, next.batchId, '0', chunk)).map(({ seq }) => seq)).toEqual(['1', '2']);
});

test('rows for a run join no later one: an attempt that is run again is not joined under the old token', async () => {
  const stage = await opened(1);
  const next = await openRun(stage.pool, stage.batch.workflowId);
  await writeEvents(stage.pool, 1);
  expect(await join(stage)).toMatchObject({ rows: [], closed: true });
  expect(seqsOf(await join(stage, { into: { ...stage.into, run: next.run } }))).toEqual(['2']);
  // The stopped process that wakes up can neither acknowledge nor give back what the new run has.
  expect(await acknowledge(stage.pool, stage.into, ['1', '2'], true)).toBe(false);
  expect(await giveBack(stage.pool, stage.into, [])).toBeNull();
  expect(await states(stage)).toEqual({ claimed: 2 });
});

test('an execution that opens the batch while a claim into it is under way waits, and has the rows', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  const claiming = await session(stage.url);
  await claiming.query('begin');
  await join(stage, {}, claiming);
  const opening = openRun(stage.pool, stage.batch.workflowId);
  await claiming.query('select pg_sleep(0.1)');
  await claiming.query('commit');
  const next = await opening;
  expect((await loadRows(stage.pool, next.batchId, '0', chunk)).map(({ seq }) => seq)).toEqual(['1', '2']);
});

test('a batch whose workflow was ended from outside takes in nothing more', async () => {
  const stage = await opened(1);
  await parkBatch(stage.pool, stage.batch.workflowId, 'terminated');
  await writeEvents(stage.pool, 1);
  expect(await join(stage)).toMatchObject({ closed: true });
  expect(await states(stage)).toEqual({ parked: 1, pending: 1 });
});

test('a claim given back unstarted gives back what joined it as well', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  await join(stage);
  await releaseBatch(stage.pool, stage.batch);
  expect(await states(stage)).toEqual({ pending: 2 });
  expect(await join(stage)).toMatchObject({ closed: true });
});

test('whoever is at work on the batch’s row, or on its lane’s, is not waited for', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 1);
  const other = await session(stage.url);
  for (const statement of [
    `select 1 from outbox.batches for update`,
    `select 1 from outbox.lanes for update`,
  ]) {
    await other.query(`begin; ${statement}`);
    expect(await join(stage)).toBeUndefined();
    await other.query('rollback');
  }
  expect(seqsOf(await join(stage))).toEqual(['2']);
});

test('a paused destination, one whose circuit is open, and one that asked for time close the batch', async () => {
  for (const statement of [
    `update outbox.destinations set paused_at = now()`,
    `insert into outbox.circuits (destination, state, opened_at, next_probe_at) values ('billing', 'open', now(), now())`,
    `insert into outbox.circuits (destination, wait_until) values ('billing', now() + interval '1 s')`,
    `insert into outbox.circuits (destination, wait_until) values ('billing', now() - interval '30 s')`,
    `update outbox.settings set config_revision = config_revision + 1`,
    `update outbox.batches set size = 10 * 1000`,
  ]) {
    const stage = await opened(1);
    await writeEvents(stage.pool, 1);
    await stage.pool.query(statement);
    expect({ statement, joined: await join(stage) }).toMatchObject({
      statement,
      joined: { rows: [], closed: true },
    });
    expect(await states(stage)).toEqual({ claimed: 1, pending: 1 });
  }
});

test('only the lane’s owner claims for it, and its own attempt as long as the lane has an owner', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 2);
  expect(await join({ ...stage, relay: '00000000-0000-4000-8000-000000000000' })).toBeUndefined();
  const look = () => claimInto(stage.pool, 'billing', stage.into, 1, null, chunk);
  expect(seqsOf(await look())).toEqual(['2']);
  await stage.pool.query(`update outbox.lanes set lease_until = now()`);
  expect(await look()).toBeUndefined();
  expect(await join(stage)).toBeUndefined();
});

test('while an attempt looks for rows itself, the lane’s owner makes no batch of them', async () => {
  const stage = await opened(1);
  const { pool, relay } = stage;
  expect(await claimInto(pool, 'billing', stage.into, 500, 60_000, chunk)).toBeUndefined();
  await writeEvents(pool, 1);
  expect(await claim(pool, relay)).toEqual([]);
  expect(seqsOf(await claimInto(pool, 'billing', stage.into, 500, 60_000, chunk))).toEqual(['2']);
  await writeEvents(pool, 1);
  await pool.query(`update outbox.batches set looks_until = now()`);
  expect(await claim(pool, relay)).toMatchObject([{ size: 1 }]);
});

test('a batch takes in what its lane’s window allows, less what is in flight', async () => {
  const stage = await opened(4, { maximum: 10, inFlight: 2 });
  await writeEvents(stage.pool, 30);
  expect((await join(stage))?.rows).toHaveLength(6);
  expect(await join(stage)).toBeUndefined();
  await acknowledge(stage.pool, stage.into, ['1', '2', '3'], true);
  expect(seqsOf(await join(stage))).toHaveLength(3);
  expect(await claim(stage.pool, stage.relay)).toMatchObject([{ size: 10 }]);
  expect(await claim(stage.pool, stage.relay)).toEqual([]);
});

test('with a maximum of one nothing joins, and no batch is made ahead', async () => {
  const stage = await opened(1, { maximum: 1, inFlight: 16 });
  await writeEvents(stage.pool, 1);
  expect(await join(stage)).toMatchObject({ closed: true });
  const ahead = [{ lane: 'billing', after: '0', into: null, limit: 0 }];
  expect((await claimRows(stage.pool, stage.relay, ahead, 60_000, chunk)).batches).toEqual([]);
});

test('a batch made ahead has no rows, takes in what comes, and is gone at its end', async () => {
  const stage = await opened(1);
  const asks = [
    { lane: 'billing', after: '0', into: null, limit: 0 },
    { lane: 'billing', after: '0', into: stage.into, limit: 500 },
  ];
  await writeEvents(stage.pool, 1);
  const { batches, joined } = await claimRows(stage.pool, stage.relay, asks, 60_000, chunk);
  expect(batches).toMatchObject([{ size: 0, lastSeq: null, opened: { batch: { run: 1 }, rows: [] } }]);
  expect(joined.map(seqsOf)).toEqual([['2']]);
  await writeEvents(stage.pool, 1);
  const into = batches[0]?.opened?.batch;
  if (into === undefined) throw new Error('not opened');
  expect(seqsOf(await join(stage, { into }))).toEqual(['3']);
  expect(await finishAttempt(stage.pool, into, ['3'], options)).toMatchObject({ left: 0 });
  expect(await stage.rows('select id from outbox.batches')).toEqual([{ id: stage.into.batchId }]);
});

test('no batch is made ahead for a destination that is paused or whose circuit is open', async () => {
  for (const statement of [
    `update outbox.destinations set paused_at = now()`,
    `insert into outbox.circuits (destination, state, opened_at, next_probe_at) values ('billing', 'open', now(), now())`,
  ]) {
    const stage = await opened(1);
    await stage.pool.query(statement);
    const ahead = [{ lane: 'billing', after: '0', into: null, limit: 0 }];
    expect((await claimRows(stage.pool, stage.relay, ahead, 60_000, chunk)).batches).toEqual([]);
  }
});

async function rated(): Promise<TestDatabase> {
  const database = await databaseWith({ billing: {} });
  // So slow that nothing is added while this runs.
  await database.pool.query('update outbox.destinations set rate_per_second = 0.001, rate_burst = 3');
  return database;
}

test('what joins takes tokens, and what is given back returns them', async () => {
  const stage = await openBatchOf(1, await rated());
  await writeEvents(stage.pool, 10);
  const tokens = async (): Promise<number> =>
    (await stage.rows<{ tokens: number }>('select floor(tokens)::int as tokens from outbox.lanes'))[0]
      ?.tokens ?? -1;
  expect(await tokens()).toBe(2);
  expect((await join(stage))?.rows).toHaveLength(2);
  expect(await tokens()).toBe(0);
  expect(await join(stage)).toBeUndefined();
  expect(await giveBack(stage.pool, stage.into, ['1'])).toBe(2);
  expect(await tokens()).toBe(2);
  expect((await join(stage))?.rows).toHaveLength(2);
  expect(await states(stage)).toEqual({ claimed: 3, pending: 8 });
});

test('what is not begun goes back uncharged, what is under way stays', async () => {
  const stage = await opened(5);
  expect(await giveBack(stage.pool, stage.into, ['2', '4'])).toBe(3);
  expect(await states(stage)).toEqual({ claimed: 2, pending: 3 });
  expect(await sizes(stage)).toEqual([{ size: 5, open: 2, active: true }]);
  expect(await stage.rows('select sum(tries)::int as tries from outbox.deliveries')).toEqual([{ tries: 0 }]);
  expect(await finish(stage, ['2', '4'], stage.pool)).toMatchObject({ left: 0 });
  expect(await claim(stage.pool, stage.relay)).toMatchObject([{ size: 3 }]);
});

async function keyed(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    yamlOf({ billing: {} }).replace('type: http,', 'type: http, ordering: key,'),
  );
  return database;
}

async function writeKeys(db: Queryable, ...keys: readonly (string | null)[]): Promise<void> {
  for (const key of keys)
    await db.query(`insert into outbox.events (type, key, payload) values ('a', $1, '{}')`, [key]);
}

async function openKeyed(...keys: readonly (string | null)[]): Promise<Opened> {
  const database = await keyed();
  await writeKeys(database.pool, ...keys);
  return openBatchOf(0, database);
}

test('a key’s next row joins the batch that has the rows before it, in order', async () => {
  const stage = await openKeyed('a', 'b');
  await writeKeys(stage.pool, 'a', 'c', 'a', null);
  const joined = await join(stage);
  expect(joined?.rows.map(({ seq, orderKey }) => [seq, orderKey])).toEqual([
    ['3', 'a'],
    ['4', 'c'],
    ['5', 'a'],
    ['6', null],
  ]);
});

test('a key that another batch holds joins nothing until that one is done', async () => {
  const stage = await openKeyed('a');
  await writeKeys(stage.pool, 'b');
  const [second] = await claimOpen(stage.pool, stage.relay);
  const other = second?.opened?.batch;
  if (other === undefined) throw new Error('not claimed');
  await writeKeys(stage.pool, 'a', 'b');
  expect(seqsOf(await join(stage, { into: other }))).toEqual(['4']);
  await acknowledge(stage.pool, stage.into, ['1'], true);
  expect(seqsOf(await join(stage, { into: other }))).toEqual(['3']);
});

test('a key with a row of this batch that failed joins nothing', async () => {
  const stage = await openKeyed('a', 'b');
  const [row] = await rowsOfBatch(stage.pool, stage.into.batchId);
  if (row === undefined) throw new Error('no row');
  await recordFailures(stage.pool, stage.into, [failure(row)]);
  await writeKeys(stage.pool, 'a', 'b');
  expect(seqsOf(await join(stage))).toEqual(['4']);
  expect(await states(stage)).toEqual({ blocked: 1, claimed: 2, retry: 1 });
});

test('rows that joined behind one that fails go back with its tail', async () => {
  const stage = await openKeyed('a');
  await writeKeys(stage.pool, 'a', 'a');
  await join(stage);
  const [row] = await rowsOfBatch(stage.pool, stage.into.batchId);
  if (row === undefined) throw new Error('no row');
  await recordFailures(stage.pool, stage.into, [failure(row)]);
  expect(await states(stage)).toEqual({ blocked: 2, retry: 1 });
});

test('of one key a batch holds a hundred rows at most; the others follow when those are through', async () => {
  const stage = await openKeyed('hot');
  await stage.pool.query(
    `insert into outbox.events (type, key, payload) select 'a', 'hot', '{}' from generate_series(1, 150)`,
  );
  const first = seqsOf(await join(stage));
  expect(first).toHaveLength(99);
  await writeKeys(stage.pool, 'other');
  expect(seqsOf(await join(stage))).toEqual(['152']);
  await acknowledge(stage.pool, stage.into, ['1', ...first], true);
  expect(seqsOf(await join(stage))).toHaveLength(51);
});

test('an acknowledgement that crosses a claim into the same batch leaves nobody blocked for ever', async () => {
  const stage = await openKeyed('a');
  await writeKeys(stage.pool, 'a');
  const claiming = await session(stage.url);
  await claiming.query('begin');
  expect(seqsOf(await join(stage, {}, claiming))).toEqual(['2']);
  const acknowledging = acknowledge(stage.pool, stage.into, ['1'], true);
  await claiming.query('select pg_sleep(0.1)');
  await claiming.query('commit');
  expect(await acknowledging).toBe(true);
  await writeKeys(stage.pool, 'a');
  expect(seqsOf(await join(stage))).toEqual(['3']);
});

test('given back, a key’s rows wait for the one under way, and then go in order', async () => {
  const stage = await openKeyed('a');
  await writeKeys(stage.pool, 'a', 'a');
  await join(stage);
  expect(await giveBack(stage.pool, stage.into, ['1'])).toBe(2);
  expect(await claim(stage.pool, stage.relay)).toEqual([]);
  await finish(stage, ['1'], stage.pool);
  const [next] = await claim(stage.pool, stage.relay);
  expect((await rowsOfBatch(stage.pool, next?.batchId ?? '')).map(({ seq }) => seq)).toEqual(['2', '3']);
});

test('claims into one batch at once take each row once', async () => {
  const stage = await opened(1);
  await writeEvents(stage.pool, 100);
  const taken = await Promise.all(Array.from({ length: 10 }, () => join(stage, { limit: 20 })));
  const seqs = taken.flatMap(seqsOf);
  expect(new Set(seqs).size).toBe(seqs.length);
  expect(await states(stage)).toEqual({ claimed: 1 + seqs.length, pending: 100 - seqs.length });
  expect(await sizes(stage)).toEqual([{ size: 1 + seqs.length, open: 1 + seqs.length, active: true }]);
});
