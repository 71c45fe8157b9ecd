/** Each finding of doctor, provoked for real. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  temporalClient,
  uniqueName,
  type TestDatabase,
} from '../support/index.ts';
import { makeOldDays, passOver } from '../housekeeping/stage.ts';
import { session } from '../storage/fixtures.ts';
import { expectClean } from './commands.ts';

interface Checked {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly found: string;
  readonly hint: string | null;
}

async function configured(lines = ''): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}'${lines} } }
    routes: [{ match: 'order.*', to: [billing] }]`,
    { A_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}` },
  );
  return database;
}

async function doctor(database: TestDatabase, args: string[] = [], env: Record<string, string> = {}) {
  const ended = await runCli(['doctor', '--json', '--transaction-age', '200ms', ...args], {
    databaseUrl: database.url,
    env,
  });
  expectClean(ended);
  const { checks } = JSON.parse(ended.stdout) as { checks: Checked[] };
  return { code: ended.code, of: (name: string) => checks.find(({ check }) => check === name) };
}

function warning(found: string, hint: string) {
  return {
    level: 'warn',
    found: expect.stringMatching(new RegExp(found)) as string,
    hint: expect.stringContaining(hint) as string,
  };
}

test('an old transaction that holds dead rows is named with pid, application, state and age; so is a forgotten prepared one', async () => {
  const database = await configured();
  const idle = await session(database.url);
  await idle.query(`set application_name = 'nightly report'`);
  await idle.query('begin isolation level repeatable read; select 1');
  const { rows } = await idle.query<{ pid: number }>('select pg_backend_pid() as pid');
  const gid = uniqueName('gid');
  const forgetful = await session(database.url);
  await forgetful.query(`begin; create table public.forgotten (x int); prepare transaction '${gid}'`);
  atEnd(() => forgetful.query(`rollback prepared '${gid}'`).catch(() => undefined));
  await sleep(300);
  const seen = await doctor(database);
  expect(seen.of('transactions')).toMatchObject(
    warning(
      `pid ${rows[0]?.pid}, nightly report, user .* for \\d+ ?(s|min|now).*|idle in transaction`,
      `pg_terminate_backend(${rows[0]?.pid})`,
    ),
  );
  expect(seen.of('transactions')?.found).toContain('idle in transaction');
  expect(seen.of('prepared transactions')).toMatchObject(
    warning(`the oldest ${gid}`, `rollback prepared '${gid}'`),
  );
  // Warnings do not fail it.
  expect(seen.code).toBe(0);
  await idle.query('rollback');
  await forgetful.query(`rollback prepared '${gid}'`);
  const after = await doctor(database);
  expect(after.of('transactions')?.level).toBe('ok');
  expect(after.of('prepared transactions')?.level).toBe('ok');
});

test('an idle replication slot, dead rows, days past retention and rows past their time', async () => {
  const database = await configured();
  const slot = uniqueName('slot').replaceAll('-', '_');
  await database.pool.query(`select pg_create_physical_replication_slot('${slot}', true)`);
  atEnd(() => database.pool.query(`select pg_drop_replication_slot('${slot}')`).catch(() => undefined));
  await database.pool.query('alter table outbox.unrouted set (autovacuum_enabled = off)');
  const churn = await session(database.url);
  await churn.query(`insert into outbox.unrouted select outbox.uuid7(), 'x' from generate_series(1, 60000)`);
  await churn.query('delete from outbox.unrouted; select pg_stat_force_next_flush()');
  await makeOldDays(database.pool, 9);
  await database.pool.query(
    `insert into outbox.events (type, payload) values ('order.created', '{}'), ('lost', '{}')`,
  );
  await database.pool.query(
    `update outbox.deliveries set state = 'scheduled', due_at = now() - interval '3 minutes'`,
  );
  const seen = await eventually(async () => {
    const now = await doctor(database);
    expect(now.of('dead rows')).toMatchObject(warning('unrouted 60000', 'vacuum'));
    return now;
  });
  expect(seen.of('replication slots')).toMatchObject(warning(`nobody reads.*`, 'pg_drop_replication_slot'));
  expect(seen.of('retention')).toMatchObject(
    warning('3 days past it, the oldest attempts_.*no pass came by', 'housekeeping run'),
  );
  expect(seen.of('due')).toMatchObject(warning('3 min .*late', 'temporal-outbox status'));
  expect(seen.of('routing')).toMatchObject(warning('lost \\(1\\)', 'Add a route'));
  await database.pool.query(`select pg_drop_replication_slot('${slot}')`);
  await database.pool.query('vacuum outbox.unrouted');
  await passOver(database);
  const after = await doctor(database);
  expect(after.of('dead rows')?.level).toBe('ok');
  expect(after.of('retention')?.level).toBe('ok');
});

test('a missing secret, and a clock that is off', async () => {
  const database = await configured(', signing: { scheme: standard-webhooks, secrets: [env:A_SECRET] }');
  const fast = '--import=data:text/javascript,const%20now=Date.now;Date.now=()=>now()+60000';
  const seen = await doctor(database, [], { NODE_OPTIONS: fast });
  expect(seen.of('secrets')).toMatchObject(warning('billing: .*A_SECRET', 'refuse to start'));
  expect(seen.of('clock')).toMatchObject(warning('1 min ahead of PostgreSQL|59 s ahead', 'NTP'));
  const after = await doctor(database, [], { A_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}` });
  expect(after.of('secrets')?.level).toBe('ok');
  expect(after.of('clock')?.level).toBe('ok');
});

test('the schedule of housekeeping: missing, there, paused; and how long Temporal keeps what is over', async () => {
  const database = await configured();
  expect((await doctor(database)).of('housekeeping')).toMatchObject(
    warning('missing', 'run and worker make it'),
  );
  await startRun({ databaseUrl: database.url });
  const running = await doctor(database);
  expect(running.of('housekeeping')).toMatchObject({ level: 'ok' });
  expect(running.of('Temporal retention')).toMatchObject({
    level: 'ok',
    found: expect.stringContaining('1 d') as string,
  });
  const id = `${database.name}/housekeeping-schedule`;
  await (await temporalClient()).schedule.getHandle(id).pause();
  expect((await doctor(database)).of('housekeeping')).toMatchObject(warning('paused', id));
});

test('wrong ages are refused', async () => {
  const database = await createTestDatabase();
  const ended = await runCli(['doctor', '--transaction-age', 'long'], { databaseUrl: database.url });
  expect(ended.code).toBe(2);
  expectClean(ended);
});
