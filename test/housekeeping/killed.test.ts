/** kill -9 between any two steps of dropping a day: the next pass goes on, and nothing unsettled is lost. */
import { expect, test } from 'vitest';
import { partitionsPastRetention } from '../../src/storage/housekeeping.ts';
import {
  eventually,
  spawnRun,
  startReceiver,
  startRun,
  applyTestConfig,
  createTestDatabase,
} from '../support/index.ts';
import { session } from '../storage/fixtures.ts';
import { dayTag, makeOldDays, passOver, settle, writeOld } from './stage.ts';

async function stage() {
  const [database, receiver] = await Promise.all([createTestDatabase(), startReceiver()]);
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  await makeOldDays(database.pool, 9);
  const [kept = '', ...others] = await writeOld(database.pool, 9, 1_000, { keep: 'me' });
  await settle(database.pool, others);
  return { database, receiver, kept };
}

const preload = new URL('./dieAtQuery.mjs', import.meta.url).href;

function passThatDies(databaseUrl: string, at: string, count = 1) {
  return spawnRun({
    databaseUrl,
    args: ['housekeeping', 'run'],
    env: { NODE_OPTIONS: `--import=${preload}`, DIE_AT_QUERY: at, DIE_AT_COUNT: String(count) },
  });
}

test.each([
  ['before anything is copied', 'keep_unsettled', 0],
  ['between copy and detach', 'detach partition outbox."events', 1],
])('killed %s', async (_what, at, copied) => {
  const { database, receiver, kept } = await stage();
  const { signal } = await passThatDies(database.url, at).ended;
  expect(signal).toBe('SIGKILL');
  expect(await partitionsPastRetention(database.pool)).toContainEqual(
    expect.objectContaining({ name: `events_${dayTag(9)}`, state: 'attached' }),
  );
  expect(await database.rows('select 1 from outbox.events_kept')).toHaveLength(copied);

  await eventually(() => passOver(database));
  expect(await partitionsPastRetention(database.pool)).toEqual([]);
  const events = await database.rows('select id, payload from outbox.events_kept');
  expect(events).toEqual([{ id: kept, payload: { keep: 'me' } }]);
  // It is delivered from where it is kept.
  await startRun({ databaseUrl: database.url });
  await eventually(() =>
    expect(receiver.of(kept).map(({ body }) => body.toString())).toEqual(['{"keep": "me"}']),
  );
});

test('killed between detach and drop, the second copy and the drop follow', async () => {
  const { database, kept } = await stage();
  // attempts and delivered are dropped before.
  const { signal } = await passThatDies(database.url, 'drop_detached', 3).ended;
  expect(signal).toBe('SIGKILL');
  expect(await partitionsPastRetention(database.pool)).toMatchObject([
    { name: `events_${dayTag(9)}`, state: 'detached' },
  ]);
  // Out of the parent's sight its text is in events_kept.
  expect(await database.rows('select id from outbox.events where id = $1', [kept])).toEqual([]);
  expect(await database.rows('select id from outbox.events_kept')).toEqual([{ id: kept }]);
  await eventually(() => passOver(database));
  expect(await partitionsPastRetention(database.pool)).toEqual([]);
});

test('killed while the detach waits for a producer, the day is finished by a later pass', async () => {
  const { database, kept } = await stage();
  const producer = await session(database.url);
  await producer.query(`begin; insert into outbox.events (type, payload) values ('a', '{}')`);
  const pass = spawnRun({ databaseUrl: database.url, args: ['housekeeping', 'run'] });
  await eventually(async () =>
    expect(await partitionsPastRetention(database.pool)).toMatchObject([
      { parent: 'events', state: 'detaching' },
    ]),
  );
  await pass.kill('SIGKILL');
  await producer.query('commit');
  // The server ends what the dead client asked for, one way or the other; a pass meanwhile finds it at work.
  await eventually(() => passOver(database));
  await passOver(database);
  expect(await partitionsPastRetention(database.pool)).toEqual([]);
  expect(await database.rows('select id from outbox.events_kept')).toEqual([{ id: kept }]);
});
