/** `events list`: what became of order o-1? */
import { beforeEach, expect, test } from 'vitest';
import { eventStates } from '../../src/core/eventState.ts';
import { listEvents, type ListedEvent } from '../../src/storage/events.ts';
import { runCli, type TestDatabase } from '../support/index.ts';
import { databaseWith, writeEvents } from '../storage/fixtures.ts';
import { expectClean, json, jsonError, type Ended } from './commands.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await databaseWith({ billing: {}, audit: {} }, `[{ match: 'order.*', to: [billing, audit] }]`);
});

async function events(...args: string[]): Promise<Ended> {
  return runCli(['events', ...args], { databaseUrl: database.url });
}

async function listed(...args: string[]): Promise<ListedEvent[]> {
  return json<{ items: ListedEvent[] }>(await events('list', ...args, '--json')).items;
}

async function write(type: string, key: string | null): Promise<string> {
  const [row] = await database.rows<{ id: string }>(
    `insert into outbox.events (type, key, payload) values ($1, $2, '{}') returning id`,
    [type, key],
  );
  return row?.id ?? '';
}

async function stand(id: string, destination: string, state: string): Promise<void> {
  if (state === 'delivered') {
    await database.pool.query('delete from outbox.deliveries where event_id = $1 and destination = $2', [
      ...[id, destination],
    ]);
    await database.pool.query(
      'insert into outbox.delivered (event_id, destination, revision, tries) values ($1, $2, 1, 1)',
      [id, destination],
    );
    return;
  }
  await database.pool.query(
    `update outbox.deliveries set state = $3::text, batch_id = case when $3 in ('claimed', 'retry', 'parked') then gen_random_uuid() end,
            due_at = case when $3 in ('scheduled', 'retry') then now() end where event_id = $1 and destination = $2`,
    [id, destination, state],
  );
}

test('events of a key are listed newest first, each with where it stands', async () => {
  const created = await write('order.created', 'o-1');
  await write('order.created', 'o-2');
  const paid = await write('order.paid', 'o-1');
  await stand(created, 'billing', 'delivered');
  await stand(created, 'audit', 'parked');
  const ended = await events('list', '--key', 'o-1');
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expectClean(ended);
  const [head, first, second, ...more] = ended.stdout.trimEnd().split('\n');
  expect(head).toMatch(/WRITTEN \(UTC\) +ID +TYPE +KEY +STANDS/);
  expect(first).toMatch(new RegExp(`${paid} +order.paid +o-1 +audit pending, billing pending`));
  expect(second).toMatch(new RegExp(`${created} +order.created +o-1 +audit parked, billing delivered`));
  expect(more).toEqual([]);
});

test('each state finds the events with a delivery that stands so, under the name that status has for it', async () => {
  const ids = new Map<string, string>();
  for (const state of eventStates) {
    const id = await write(state === 'unrouted' ? 'nobody.cares' : 'order.created', null);
    ids.set(state, id);
    await stand(id, 'audit', 'delivered');
    if (state !== 'unrouted') await stand(id, 'billing', state);
  }
  const names = { claimed: 'delivering', retry: 'retrying' } as Record<string, string>;
  for (const state of eventStates) {
    if (state === 'delivered') continue;
    const found = await listed('--state', names[state] ?? state);
    expect(found.map(({ id }) => id)).toEqual([ids.get(state)]);
    if (state === 'unrouted') expect(found[0]).toMatchObject({ unrouted: true });
    else expect(found[0]?.standings).toContainEqual({ destination: 'billing', state });
  }
  // Of one and the same delivery: audit has all of them.
  const delivered = await listed('--state', 'delivered', '--destination', 'billing');
  expect(delivered.map(({ id }) => id)).toEqual([ids.get('delivered')]);
  expect(await listed('--state', 'pending', '--destination', 'audit')).toEqual([]);
  expect(await listed('--destination', 'audit')).toHaveLength(eventStates.length);
});

test('type, time and destination narrow a list, and its pages come to each event once', async () => {
  const ids = await writeEvents(database.pool, 7, 'order.line.added');
  await write('other.thing', 'o-1');
  const pages: ListedEvent[] = [];
  let cursor: string | null = null;
  const base = ['--type', 'order.*', '--since', '1h', '--destination', 'billing', '--limit', '3', '--json'];
  do {
    const at: string[] = cursor === null ? [] : ['--cursor', cursor];
    const page = json<{ items: ListedEvent[]; nextCursor: string | null }>(
      await events('list', ...base, ...at),
    );
    pages.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null);
  expect(pages.map(({ id }) => id)).toEqual([...ids].sort().reverse());
  expect(await listed('--since', new Date(Date.now() + 60_000).toISOString())).toEqual([]);
});

test('an event kept past its day is found by its key, and one that was given up says so', async () => {
  const id = await write('order.created', 'o-1');
  await database.pool.query(`insert into outbox.events_kept select * from outbox.events where id = $1`, [id]);
  await database.pool.query('delete from outbox.events where id = $1', [id]);
  await database.pool.query(`delete from outbox.deliveries where destination = 'audit'`);
  await database.pool.query(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries,
       resolved_at, resolution) values ($1, 'order.created', 'audit', 'w', 1, 1, 'permanent', 1, 1, now(), 'discard')`,
    [id],
  );
  expect(await listed('--key', 'o-1')).toMatchObject([
    {
      id,
      kept: true,
      standings: [
        { destination: 'audit', state: 'discarded' },
        { destination: 'billing', state: 'pending' },
      ],
    },
  ]);
  const [byState] = await listEvents(database.pool, { state: 'pending' }, null, 10);
  expect(byState).toMatchObject({ id, kept: true });
});

test('a destination that is none is refused, and the nearest named', async () => {
  const ended = await events('list', '--destination', 'biling', '--json');
  expect(ended.code).toBe(2);
  expect(jsonError(ended)).toMatchObject({
    message: 'there is no destination biling',
    hint: 'Did you mean billing? There are: audit, billing',
  });
});

test('a cursor of another list is refused', async () => {
  await writeEvents(database.pool, 3);
  const { nextCursor } = json<{ nextCursor: string }>(await events('list', '--limit', '1', '--json'));
  const ended = await events('list', '--key', 'o-1', '--cursor', nextCursor, '--json');
  expect(ended.code).toBe(2);
  expect(jsonError(ended).message).toContain('other filters');
});

test('a key is found by index, and a state by its few rows, among many events', async () => {
  const wanted = await write('order.created', 'o-1');
  await database.pool.query(
    `insert into outbox.events (type, key, payload) select 'order.created', 'k-' || n, '{}' from generate_series(1, 20000) n`,
  );
  await database.pool.query(
    `with gone as (delete from outbox.deliveries where event_id <> $1 returning event_id, destination)
     insert into outbox.delivered (event_id, destination, revision, tries) select event_id, destination, 1, 1 from gone`,
    [wanted],
  );
  await database.pool.query('vacuum analyze outbox.events, outbox.deliveries, outbox.delivered');
  let blocks = 0;
  const explaining = {
    query: async (text: string, values?: unknown[]) => {
      const [row] = await database.rows<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>(
        `explain (analyze, buffers, format json) ${text}`,
        values,
      );
      const plan = row?.['QUERY PLAN'][0]?.Plan ?? {};
      blocks += (plan['Shared Hit Blocks'] ?? NaN) + (plan['Shared Read Blocks'] ?? NaN);
      return database.pool.query(text, values);
    },
  };
  for (const filter of [{ key: 'o-1' }, { state: 'pending' }, { key: 'o-1', state: 'pending' }] as const) {
    blocks = 0;
    expect(await listEvents(explaining, filter, null, 50)).toHaveLength(1);
    // A look into each of some forty days.
    expect(blocks).toBeLessThan(400);
  }
});
