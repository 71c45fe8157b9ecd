/** A connection that breaks, or is refused, costs what it was used for, and nothing else. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connect, inTransaction } from '../../src/storage/connect.ts';
import { atEnd, createTestDatabase, eventually, runCli, servers, spawnRun } from '../support/index.ts';
import { startPooler, type Pooler } from './pooler.ts';
import { expectOnceEach, openField, produce, stranger } from './stage.ts';

const odd = { code: 'C0DE1', message: 'too many of you' };

test('a pooler that refuses connections in words of its own is waited for: nothing is sent twice', async () => {
  let pooler: Pooler | undefined;
  const stage = await openField([], '', async (url) => {
    pooler = await startPooler(url);
    return pooler.url;
  });
  const producing = produce(stage.database, 20, 4_000);
  await sleep(1_000);
  pooler?.refuse(odd);
  await eventually(async () => expect((await stage.readiness()).text).toContain(odd.message), {
    timeout: 10_000,
  });
  const ids = await producing;
  pooler?.refuse(null);
  const { database, receiver } = stage;
  await eventually(
    async () => {
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBe(ids.length);
    },
    { timeout: 30_000 },
  );
  // What was under way when its connection broke may have been written: looked at again, never sent again.
  expect(ids.filter((id) => receiver.of(id).length !== 1)).toEqual([]);
  expect(await database.rows('select reason from outbox.dead_letters')).toEqual([]);
  await eventually(async () => expect(await stage.readiness()).toMatchObject({ ok: true }), {
    timeout: 20_000,
  });
});

test('run --wait waits for a pooler that refuses in words of its own', async () => {
  const database = await createTestDatabase();
  const pooler = await startPooler(database.url);
  pooler.refuse(odd);
  const run = spawnRun({
    databaseUrl: pooler.url,
    args: ['run', '--wait', '60s'],
    env: { TEMPORAL_ADDRESS: servers().temporalAddress },
  });
  atEnd(() => run.kill());
  await eventually(() => expect(run.stdout()).toContain(odd.message), { timeout: 20_000 });
  pooler.refuse(null);
  await eventually(() => expect(run.stdout()).toContain('ready'), { timeout: 20_000 });
});

test.for([
  { what: 'a wrong password', change: (url: URL) => (url.password = 'wrong'), says: /refuses the login/ },
  {
    what: 'a database that does not exist',
    change: (url: URL) => (url.pathname = '/nowhere'),
    says: /refuses the login: database "nowhere" does not exist/,
  },
])('$what is said at once, however long run is to wait', async ({ change, says }) => {
  const stage = await openField();
  await stage.running.stop();
  const url = new URL(stage.url);
  change(url);
  const began = performance.now();
  const { code, stderr } = await runCli(['run', '--wait', '60s'], { databaseUrl: url.href });
  // Embedded servers may trust everybody: then there is no wrong password.
  if (code === null) return;
  expect(stderr).toMatch(says);
  expect(code).toBe(3);
  expect(performance.now() - began).toBeLessThan(30_000);
});

test('a connection that breaks while a scrape uses it ends no process: that scrape is answered 503', async () => {
  const stage = await openField();
  const { database, running } = stage;
  const other = await stranger(database);
  await other.query('begin; lock table outbox.deliveries in access exclusive mode');
  const scrape = fetch(`${running.endpoints['metrics']}/metrics`);
  const ended = async () =>
    (
      await database.rows(`select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'temporal-outbox watching' and datname = current_database() and wait_event_type = 'Lock'`)
    ).length;
  await eventually(async () => expect(await ended()).toBeGreaterThan(0), { timeout: 10_000 });
  expect((await scrape).status).toBe(503);
  await other.query('rollback');
  await expectOnceEach(stage, await produce(database, 20, 300));
  expect((await fetch(`${running.endpoints['metrics']}/metrics`)).status).toBe(200);
});

test('a transaction whose connection breaks rejects, and the pool goes on', async () => {
  const { url } = await createTestDatabase({ migrated: false });
  const pool = connect(url, { max: 1 });
  atEnd(() => pool.end());
  const broken = inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const other = connect(url, { max: 1 });
    await other.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await other.end();
    // Nobody uses it at this moment: its end is an event, not an answer.
    await sleep(200);
    await client.query('select 1');
  });
  await expect(broken).rejects.toThrow();
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});
