/** Why dead letters are parked: told apart by what matters, counted from indexes, and gone when nobody has them. */
import { beforeAll, describe, expect, test } from 'vitest';
import { finishAttempt, recordFailures } from '../../src/storage/attempts.ts';
import { listCauses, noteCause } from '../../src/storage/causes.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { eraseEvents } from '../../src/storage/erase.ts';
import { eventually, type TestDatabase } from '../support/index.ts';
import {
  claim,
  claimedBatch,
  databaseBefore,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  writeEvents,
} from './fixtures.ts';

interface Said {
  readonly status?: number;
  readonly errorClass?: string;
  readonly message?: string;
  readonly excerpt?: string | null;
}

/** A batch of so many new events: all that waits. */
async function batchOf(database: TestDatabase, count: number) {
  await database.pool.query('update outbox.lanes set lease_until = now()');
  return claimedBatch(database.pool, count);
}

/** New events, refused for good, each with its own words; answers their ids. */
async function parkedWith(database: TestDatabase, said: readonly Said[]): Promise<string[]> {
  const { workflowId, events } = await batchOf(database, said.length);
  const run = await openRun(database.pool, workflowId);
  const rows = await rowsOfBatch(database.pool, run.batchId);
  const failures = rows.map((row, index) => failure(row, { park: 'permanent', status: 422, ...said[index] }));
  await recordFailures(database.pool, run, failures);
  await finishAttempt(database.pool, run, [], { maxSingles: 0, keep: true });
  return events;
}

const answered = 'POST http://billing.test/hooks answered 422 Unprocessable Entity';

describe('what differs from event to event is taken out', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await databaseWith({ billing: {} });
  });
  test.each([
    [answered, null, 'Unprocessable Entity'],
    ['POST http://billing.test/hooks/17 answered 500', '', ''],
    [answered, 'order o-17 of customer 4711 is unknown', 'order # of customer # is unknown'],
    [answered, 'total must be positive, got -12.50.', 'total must be positive, got #.'],
    [answered, '{"error":"no stock","order":"o-17"}', 'no stock'],
    [
      answered,
      '{"type":"about:blank","title":"Invalid","detail":"line 3: \\"sku\\" is missing"}',
      'Invalid: line #: \\"…" is missing',
    ],
    [answered, '{"order":"o-17","left":0}', '{"…":"…","…":#}'],
    [answered, '<html><body><h1>Bad Gateway</h1></body></html>', 'Bad Gateway'],
    ['connect ECONNREFUSED 10.0.0.7:8443', null, 'connect ECONNREFUSED #'],
    ['see https://help.test/e/42?id=7 or ask ops@shop.test', null, 'see <url> or ask <email>'],
    ['at 2026-11-29T10:00:01.123Z and 2026-11-29 10:00:01', null, 'at # and #'],
    ['event 01a1d9ed-c200-7333-8b57-dc3cca0b234d was seen', null, 'event # was seen'],
    ["no column 'größe' in “orders” of `shop`", null, 'no column "…" in "…" of "…"'],
    ["can't do that", null, "can't do that"],
    // However long what is quoted, or a tag, is.
    [answered, `<a href="${'x'.repeat(400)}">no stock</a>`, 'no stock'],
    [answered, `field "${'größe '.repeat(60)}" is 'too ${'very '.repeat(60)}long'`, 'field "…" is "…"'],
    [null, null, ''],
  ])('%j, %j', async (message, excerpt, text) => {
    const [row] = await database.rows<{ text: string }>('select outbox.cause_text($1, $2) as text', [
      message,
      excerpt,
    ]);
    expect(row?.text).toBe(text);
  });
});

test('letters that differ in ids alone are one cause; another status, class or error is another', async () => {
  const database = await databaseWith({ billing: {} });
  await parkedWith(database, [
    { excerpt: 'order o-1 has no stock' },
    { excerpt: 'order o-2 has no stock' },
    { excerpt: 'order o-2 has no address' },
    { excerpt: 'order o-3 has no stock', status: 409 },
  ]);
  await parkedWith(database, [{ excerpt: 'order 0815 has no stock' }]);
  const causes = await listCauses(database.pool, {}, 10);
  expect(causes.map(({ status, error, open }) => [status, error, open])).toEqual([
    [422, 'order # has no stock', 3],
    expect.arrayContaining([1]) as unknown,
    expect.arrayContaining([1]) as unknown,
  ]);
  expect(new Set(causes.map(({ id }) => id)).size).toBe(3);
  for (const { trend } of causes)
    expect([trend.length, trend.at(-1)]).toEqual([24, expect.any(Number) as unknown]);
  expect(causes[0]?.trend).toEqual([...Array<number>(23).fill(0), 3]);
});

test('what parks without an answer is a cause by its reason', async () => {
  const database = await databaseWith({ billing: {} });
  const { workflowId } = await claimedBatch(database.pool, 2);
  await database.pool.query(`select outbox.park_batch($1, 'terminated')`, [workflowId]);
  expect(await listCauses(database.pool, {}, 10)).toMatchObject([
    { class: 'terminated', status: null, error: '', open: 2, destination: 'billing' },
  ]);
});

test('letters from before there were causes have theirs after an upgrade, with what was answered last', async () => {
  const { pool, rows } = await databaseBefore('causes');
  await pool.query('select outbox.make_partitions(0, 1)');
  const { rows: letters } = await pool.query<{ id: string }>(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries,
                                      last_status, last_error_class, last_error, resolved_at, resolution)
     select outbox.uuid7(), 'a', 'billing', 'w' || n, 1, 1, 'permanent', 1, 1, 422, 'http-422', $1,
            case when n = 3 then now() end, case when n = 3 then 'discard' end
     from generate_series(1, 3) n returning event_id as id`,
    [answered],
  );
  for (const { id } of letters)
    await pool.query(
      `insert into outbox.attempts (event_id, destination, revision, try, status, error_class, message, excerpt, charged)
       values ($1::uuid, 'billing', 1, 1, 422, 'http-422', $2, 'order ' || $1::uuid || ' has no stock', true)`,
      [id, answered],
    );
  await migrate(pool);
  expect(await listCauses(pool, { all: true }, 10)).toMatchObject([
    { destination: 'billing', class: 'http-422', status: 422, error: 'order # has no stock', open: 2 },
  ]);
  expect(await rows('select cause is null as bare from outbox.dead_letters order by id')).toEqual([
    { bare: false },
    { bare: false },
    { bare: true },
  ]);
});

test('two that park the same new cause at once both do', async () => {
  const database = await databaseWith({ billing: {} });
  const [one, other] = await Promise.all([database.pool.connect(), database.pool.connect()]);
  try {
    const { workflowId, relay } = await claimedBatch(database.pool, 1);
    await writeEvents(database.pool, 1);
    const [later] = await claim(database.pool, relay);
    await one.query('begin');
    await one.query(`select outbox.park_batch($1, 'terminated')`, [workflowId]);
    const second = other.query(`select outbox.park_batch($1, 'terminated')`, [later?.workflowId]);
    await one.query('commit');
    await second;
  } finally {
    one.release();
    other.release();
  }
  expect(await listCauses(database.pool, {}, 10)).toMatchObject([{ open: 2 }]);
});

test('a note and an owner stay with the cause, and the audit says who wrote them', async () => {
  const database = await databaseWith({ billing: {} });
  await parkedWith(database, [{ excerpt: 'no stock' }]);
  const [{ id } = { id: null }] = await listCauses(database.pool, {}, 1);
  const note = (change: object) => noteCause(database.pool, String(id), { actor: 'ann', ...change });
  expect(await note({ note: 'supplier was called', owner: 'stock team' })).toBe(true);
  expect(await note({ owner: '' })).toBe(true);
  await parkedWith(database, [{ excerpt: 'no stock' }]);
  expect(await listCauses(database.pool, {}, 1)).toMatchObject([
    { id, open: 2, note: 'supplier was called', owner: null, notedBy: 'ann' },
  ]);
  expect(await noteCause(database.pool, '000000000000', { note: 'x', actor: 'ann' })).toBe(false);
  expect(
    await database.rows(`select actor, action, outcome from outbox.audit where action = 'note-cause'`),
  ).toEqual(Array(2).fill({ actor: 'ann', action: 'note-cause', outcome: 'done' }));
});

test('when an event is erased, what its receiver said of it goes from the cause, too', async () => {
  const database = await databaseWith({ billing: {} });
  const [alone = '', shared = ''] = await parkedWith(database, [
    { excerpt: 'Ann Smith is unknown' },
    { excerpt: 'no stock' },
    { excerpt: 'no stock' },
  ]);
  await eraseEvents(database.pool, [alone, shared], { actor: 'ann', reason: 'asked to' });
  expect(await database.rows('select error from outbox.causes')).toEqual([{ error: 'no stock' }]);
  expect(
    await database.rows('select count(*)::int as n from outbox.dead_letters where cause is null'),
  ).toEqual([{ n: 2 }]);
});

test('housekeeping clears away causes that no letter has, and waits while letters are being parked', async () => {
  const database = await databaseWith({ billing: {} });
  await parkedWith(database, [{ excerpt: 'no stock' }, { excerpt: 'no address' }]);
  await database.pool.query(`update outbox.causes set noticed_at = now() - interval '2 days'`);
  await database.pool.query(
    `delete from outbox.dead_letters l using outbox.causes c where c.id = l.cause and c.error = 'no stock'`,
  );
  const purge = async () =>
    (await database.rows<{ n: number }>(`select outbox.purge('causes', 100) as n`))[0]?.n ?? NaN;
  const { workflowId } = await batchOf(database, 1);
  const parking = await database.pool.connect();
  try {
    await parking.query('begin');
    await parking.query(`select outbox.park_batch($1, 'terminated')`, [workflowId]);
    expect(await purge()).toBe(0);
    await parking.query('commit');
  } finally {
    parking.release();
  }
  expect(await purge()).toBe(1);
  expect(await database.rows('select error from outbox.causes order by 1')).toEqual([
    { error: '' },
    { error: 'no address' },
  ]);
});

test('causes of 20,000 letters are counted without reading a letter', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(
    `insert into outbox.causes (id, destination, class, status, error)
     select lpad(n::text, 12, '0'), 'billing', 'http', 422, 'cause ' || n from generate_series(1, 40) n`,
  );
  await database.pool.query(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries, cause, last_error)
     select outbox.uuid7(), 'a', 'billing', 'w' || n, 1, 1, 'permanent', 1, 1, lpad((n % 40 + 1)::text, 12, '0'), repeat('x', 200)
     from generate_series(1, 20000) n`,
  );
  let plan = '';
  const explaining = {
    query: async (text: string, values?: unknown[]) => {
      const { rows } = await database.pool.query(`explain (analyze, costs off, timing off) ${text}`, values);
      plan = (rows as { 'QUERY PLAN': string }[]).map((row) => row['QUERY PLAN']).join('\n');
      return database.pool.query(text, values);
    },
  };
  // A page that is in somebody's hands meanwhile is passed over by vacuum, and read for its rows.
  await eventually(async () => {
    await database.pool.query('vacuum analyze outbox.dead_letters');
    const causes = await listCauses(explaining, {}, 100);
    expect(causes.map(({ open }) => open)).toEqual(Array(40).fill(500));
    expect(plan).not.toMatch(/Seq Scan on dead_letters/);
    expect(plan).toMatch(/Index Only Scan using dead_letters_open_by_cause/);
  });
});
