/** Replays in SQL: which events are frozen, in which order they get their deliveries, what is left out, how the pace is kept. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { planReplay, type ReplayRequest } from '../../src/core/replay.ts';
import {
  commandReplay,
  freezeReplay,
  releaseReplay,
  type ReplayPortion,
  type ReplayStanding,
} from '../../src/storage/replays.ts';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { claim, nowhere, soleRelay } from './fixtures.ts';

type Options = Readonly<Record<string, string>>;

function config(destinations: Options, routes = '[]'): string {
  const lines = Object.entries(destinations).map(
    ([name, more]) => `  ${name}: { type: http, url: '${nowhere}'${more} }`,
  );
  return `destinations:\n${lines.join('\n')}\nroutes: ${routes}\n`;
}

async function databaseOf(destinations: Options, routes?: string): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await applyTestConfig(database, config(destinations, routes));
  return database;
}

/** One statement; ids in the order of writing. */
async function write(
  { rows }: TestDatabase,
  events: readonly (readonly [type: string, key: string | null])[],
): Promise<string[]> {
  const written = await rows<{ id: string }>(
    `insert into outbox.events (type, key, payload)
     select t, k, '{}' from unnest($1::text[], $2::text[]) with ordinality e(t, k, n) order by n returning id`,
    [events.map(([type]) => type), events.map(([, key]) => key)],
  );
  return written.map(({ id }) => id);
}

async function freeze({ pool }: TestDatabase, request: ReplayRequest): Promise<ReplayStanding> {
  const plan = planReplay(request, Date.now());
  if (typeof plan === 'string') throw new Error(plan);
  const id = randomUUID();
  const standing = await freezeReplay(pool, id, `replay/${id}`, plan, 'anna');
  if (typeof standing === 'string') throw new Error(standing);
  return standing;
}

async function begin({ pool }: TestDatabase, { id, workflowId }: ReplayStanding): Promise<void> {
  const { outcome } = await commandReplay(
    pool,
    id,
    workflowId,
    { action: 'resume', commandId: randomUUID() },
    'signal',
  );
  expect(outcome).toBe('done');
}

/** Portions until it does not run any more. */
async function runOut({ pool }: TestDatabase, id: string, most = 500): Promise<ReplayPortion> {
  for (;;) {
    const portion = await releaseReplay(pool, id, most);
    if (portion === undefined) throw new Error('no such replay');
    if (portion.state !== 'running') return portion;
    await new Promise((resolve) => setTimeout(resolve, Math.min(portion.waitMs, 20)));
  }
}

async function replayAll(database: TestDatabase, request: ReplayRequest): Promise<ReplayPortion> {
  const standing = await freeze(database, { rate: 10_000, ...request });
  await begin(database, standing);
  return runOut(database, standing.id);
}

/** Events of a destination's rows in the order in which they are sent. */
async function lane({ rows }: TestDatabase, destination = 'billing'): Promise<string[]> {
  const found = await rows<{ id: string }>(
    `select event_id as id from outbox.deliveries where destination = $1 order by seq`,
    [destination],
  );
  return found.map(({ id }) => id);
}

/** What an acknowledgement leaves behind. */
async function deliverAll({ pool }: TestDatabase, destination = 'billing'): Promise<void> {
  await pool.query(
    `with gone as (delete from outbox.deliveries where destination = $1 returning *)
     insert into outbox.delivered (event_id, destination, revision, tries) select event_id, destination, revision, 1 from gone`,
    [destination],
  );
}

const toBilling = `[{ match: 'order.*', to: [billing] }]`;

test('events that no route took go where the routes say now, in the order of writing, and are counted as unrouted no more', async () => {
  const database = await databaseOf({ billing: '' });
  const ids = await write(database, [
    ['order.created', 'a'],
    ['stock.moved', null],
    ['order.paid', 'b'],
    ['order.shipped', 'a'],
  ]);
  await applyTestConfig(database, config({ billing: '' }, toBilling));
  const standing = await replayAll(database, { all: true });
  expect(standing).toMatchObject({
    state: 'done',
    total: 4,
    handled: 4,
    done: 3,
    deliveries: 3,
    skipped: 1,
    skippedBecause: { noRoute: 1 },
    preview: { noRoute: 1 },
  });
  expect(await lane(database)).toEqual([ids[0], ids[2], ids[3]]);
  expect(await database.rows('select event_id as id from outbox.unrouted')).toEqual([{ id: ids[1] }]);
});

test('type, key, since and until choose; the preview tells how many of each type and what is kept', async () => {
  const database = await databaseOf({ billing: '' });
  await write(database, [
    ['order.created', 'a'],
    ['order.created', 'b'],
    ['order.paid', 'a'],
    ['stock.moved', 'a'],
  ]);
  const { preview, total } = await freeze(database, { type: 'order.*' });
  expect(total).toBe(3);
  expect(preview.byType).toEqual([
    { type: 'order.created', events: 2 },
    { type: 'order.paid', events: 1 },
  ]);
  expect(Date.parse(preview.keptSince ?? '')).toBeLessThan(Date.now());
  expect(await freeze(database, { key: 'a' })).toMatchObject({ total: 3 });
  expect(await freeze(database, { since: '1h' })).toMatchObject({ total: 4 });
  expect(await freeze(database, { until: '1h' })).toMatchObject({ total: 0 });
});

test('a new destination gets what others got, each once, however often and from how many replays it is sent', async () => {
  const database = await databaseOf({ billing: '' }, toBilling);
  const ids = await write(database, [
    ['order.created', null],
    ['order.paid', null],
  ]);
  await deliverAll(database);
  await applyTestConfig(database, config({ billing: '', mirror: '' }, toBilling));
  const [first, second] = [
    await freeze(database, { all: true, to: 'mirror', rate: 1000 }),
    await freeze(database, { all: true, to: 'mirror', rate: 1000 }),
  ];
  await begin(database, first);
  await begin(database, second);
  expect(await runOut(database, first.id)).toMatchObject({ done: 2 });
  expect(await lane(database, 'mirror')).toEqual(ids);
  await deliverAll(database, 'mirror');
  await database.pool.query('delete from outbox.delivered');
  expect(await runOut(database, second.id)).toMatchObject({ done: 0, skippedBecause: { hadOne: 2 } });
});

test('what a destination had before is left out of the set, and so is what it may have had', async () => {
  const database = await databaseOf({ billing: '' }, toBilling);
  await write(database, [['order.created', null]]);
  await deliverAll(database);
  expect(await freeze(database, { all: true, to: 'billing' })).toMatchObject({
    total: 0,
    preview: { leftOut: { hadOne: 1 } },
  });
  await applyTestConfig(database, `${config({ billing: '' }, toBilling)}retention: { delivered: 0 }\n`);
  await database.pool.query('delete from outbox.delivered');
  expect(await freeze(database, { all: true, to: 'billing' })).toMatchObject({
    total: 0,
    preview: { leftOut: { unknown: 1 } },
  });
  // It was not there when the event was written, so it cannot have had it.
  await applyTestConfig(
    database,
    `${config({ billing: '', mirror: '' }, toBilling)}retention: { delivered: 0 }\n`,
  );
  expect(await freeze(database, { all: true, to: 'mirror' })).toMatchObject({ total: 1 });
});

const keyed = { billing: ', ordering: key' };

test('where order is kept, newer events of a key that wait unsent are sent after it', async () => {
  const database = await databaseOf(keyed);
  const old = await write(database, [
    ['order.created', 'a'],
    ['order.paid', 'a'],
  ]);
  await applyTestConfig(database, config(keyed, toBilling));
  const newer = await write(database, [
    ['order.shipped', 'a'],
    ['order.created', 'b'],
    ['order.closed', 'a'],
  ]);
  expect(await replayAll(database, { all: true })).toMatchObject({ done: 2, skipped: 0 });
  const order = await lane(database);
  expect(order.filter((id) => id !== newer[1])).toEqual([...old, newer[0], newer[2]]);
});

test.each(['under way', 'delivered', 'delivered after the preview'] as const)(
  'where order is kept, an event comes too late once a newer one of its key is %s; it is left out, stays unrouted, and is sent when asked for',
  async (what) => {
    const database = await databaseOf(keyed);
    const [late, other] = await write(database, [
      ['order.created', 'a'],
      ['order.created', 'b'],
    ]);
    await applyTestConfig(database, config(keyed, toBilling));
    const previewed =
      what === 'delivered after the preview' ? await freeze(database, { all: true, rate: 1000 }) : null;
    const [newer] = await write(database, [['order.paid', 'a']]);
    if (what === 'under way') await claim(database.pool, await soleRelay(database.pool));
    else await deliverAll(database);
    const standing = previewed ?? (await freeze(database, { all: true, rate: 1000 }));
    expect(standing.preview.late).toBe(what === 'delivered' ? 1 : 0);
    await begin(database, standing);
    expect(await runOut(database, standing.id)).toMatchObject({ done: 1, skippedBecause: { late: 1 } });
    expect(await database.rows('select event_id as id from outbox.unrouted')).toEqual([{ id: late }]);
    expect(await replayAll(database, { all: true, late: 'send' })).toMatchObject({ done: 1, skipped: 0 });
    expect(await lane(database)).toEqual([...(what === 'under way' ? [newer] : []), other, late]);
  },
);

test('events of one key that were written by transactions side by side keep the order in which they were numbered', async () => {
  const database = await databaseOf(keyed);
  // The second one's id is the older: a producer made it before, and committed it after.
  const [older] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
  const [first] = await write(database, [['order.created', 'a']]);
  await database.pool.query(
    `insert into outbox.events (id, type, key, payload) values ($1, 'order.paid', 'a', '{}')`,
    [older?.id],
  );
  const [third] = await write(database, [['order.shipped', 'a']]);
  await applyTestConfig(database, config(keyed, toBilling));
  expect(await replayAll(database, { all: true })).toMatchObject({ done: 3 });
  expect(await lane(database)).toEqual([first, older?.id, third]);
});

test('the pace is one for all processes: what one took, another does not find', async () => {
  const database = await databaseOf({ billing: '' }, toBilling);
  await applyTestConfig(database, config({ billing: '' }));
  await write(
    database,
    Array.from({ length: 200 }, () => ['order.created', null] as const),
  );
  await applyTestConfig(database, config({ billing: '' }, toBilling));
  const { id, ...standing } = await freeze(database, { all: true, rate: 50 });
  await begin(database, { id, ...standing });
  // As if a minute had passed: one second's worth is saved up, no more.
  await database.pool.query(`update outbox.replays set paced_at = now() - interval '1 minute'`);
  const both = await Promise.all([
    releaseReplay(database.pool, id, 500),
    releaseReplay(database.pool, id, 500),
  ]);
  const handled = Math.max(...both.map((portion) => portion?.handled ?? 0));
  expect(handled).toBeGreaterThanOrEqual(50);
  expect(handled).toBeLessThan(60);
});

test('it waits for a destination whose circuit is open, and goes on with one that a person paused', async () => {
  const database = await databaseOf({ billing: '' });
  await write(database, [['order.created', null]]);
  await applyTestConfig(database, config({ billing: '', mirror: '' }));
  await database.pool.query(
    `insert into outbox.circuits (destination, state, opened_at, next_probe_at) values ('mirror', 'open', now(), now())`,
  );
  const standing = await freeze(database, { all: true, to: 'mirror', rate: 1000 });
  await begin(database, standing);
  expect(await releaseReplay(database.pool, standing.id, 500)).toMatchObject({
    state: 'running',
    handled: 0,
    because: 'the circuit of mirror is open',
  });
  await database.pool.query(`update outbox.destinations set paused_at = now() where name = 'mirror'`);
  expect(await runOut(database, standing.id)).toMatchObject({ state: 'done', done: 1, because: null });
});

test('it stops where its destination is taken away, and goes on once it is there again', async () => {
  const database = await databaseOf({ billing: '', mirror: '' });
  await write(database, [['order.created', null]]);
  const standing = await freeze(database, { all: true, to: 'mirror', rate: 1000 });
  await applyTestConfig(database, config({ billing: '' }));
  await begin(database, standing);
  expect(await runOut(database, standing.id)).toMatchObject({
    state: 'stopped',
    because: 'there is no destination mirror any more',
  });
  await applyTestConfig(database, config({ billing: '', mirror: '' }));
  await begin(database, standing);
  expect(await runOut(database, standing.id)).toMatchObject({ state: 'done', done: 1 });
});

test('a command acts once, and a replay that is over takes none', async () => {
  const database = await databaseOf({ billing: '' });
  await write(database, [['order.created', null]]);
  const { id, workflowId } = await freeze(database, { all: true });
  const command = (action: 'pause' | 'resume' | 'cancel', commandId: string = randomUUID()) =>
    commandReplay(database.pool, id, workflowId, { action, commandId, actor: 'anna' }, 'signal');
  expect(await command('pause')).toMatchObject({
    outcome: 'refused',
    message: 'it is not running, but previewed',
  });
  expect(await command('resume', 'one')).toMatchObject({
    outcome: 'done',
    message: 'begun, after 0 of 1 events',
  });
  expect(await command('resume', 'one')).toMatchObject({ outcome: 'done', repeated: true });
  expect(await command('cancel')).toMatchObject({ outcome: 'done' });
  expect(await command('resume')).toMatchObject({ outcome: 'refused', message: 'it is canceled' });
  expect(
    await database.rows(
      `select action, outcome, actor from outbox.audit where workflow_id = $1 order by id`,
      [workflowId],
    ),
  ).toHaveLength(4);
});

test('an erased event is sent nowhere, and replays go once their events are gone', async () => {
  const database = await databaseOf({ billing: '' }, `[{ match: 'none', to: [billing] }]`);
  const [id] = await write(database, [['order.created', null]]);
  const standing = await freeze(database, { all: true, to: 'billing', rate: 1000 });
  await database.pool.query(`select outbox.erase(array[$1]::uuid[], 'anna', 'cli', null)`, [id]);
  await begin(database, standing);
  expect(await runOut(database, standing.id)).toMatchObject({ done: 0, skippedBecause: { gone: 1 } });
  await database.pool.query(`update outbox.replays set created_at = now() - interval '10 days'`);
  expect(await database.rows('select outbox.purge_replays(100) as n')).toEqual([{ n: 1 }]);
  expect(await database.rows('select id from outbox.replays')).toEqual([]);
});
