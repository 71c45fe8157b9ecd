import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
} from '../support/index.ts';

test('status --check: one line and an exit code, by limits that can be set', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
  const check = (...args: string[]) => runCli(['status', '--check', ...args], { databaseUrl: database.url });

  expect(await check()).toEqual({
    code: 1,
    stdout: 'CRITICAL: no relay is alive: nothing is delivered\n',
    stderr: '',
  });
  await startRun({ databaseUrl: database.url });
  expect(await check()).toEqual({ code: 0, stdout: 'OK: 1 destination, lag 0 s, 0 parked\n', stderr: '' });

  await enqueue(
    database.pool,
    [
      { type: 'order.a', payload: 1 },
      { type: 'log.x', payload: 1 },
    ],
    { ownTransaction: true },
  );
  await eventually(async () =>
    expect(await database.rows('select from outbox.dead_letters')).toHaveLength(1),
  );
  expect(await check()).toMatchObject({ code: 1, stdout: 'CRITICAL: billing: 1 parked (limit 0)\n' });
  expect(await check('--max-parked', '1')).toMatchObject({
    code: 0,
    stdout: 'OK: 1 destination, lag 0 s, 1 parked\n',
  });
  expect(await check('--max-parked', '1', '--max-unrouted', '0')).toMatchObject({
    code: 1,
    stdout: 'CRITICAL: 1 events that no route took (limit 0)\n',
  });

  await database.pool.query(`update outbox.destinations set paused_at = now()`);
  await database.pool.query(
    `insert into outbox.events (type, payload, created_at) values ('order.b', '1', now() - interval '1 hour')`,
  );
  // Somebody wants it to wait.
  expect(await check('--max-parked', '1')).toMatchObject({ code: 0 });
  const json = await check('--json');
  expect(JSON.parse(json.stdout)).toMatchObject({
    ok: false,
    problems: [{ what: 'parked', destination: 'billing', limit: 0 }],
    relays: 1,
  });
});

test('lag over the limit is named with both', async () => {
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9/' } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
  await database.pool.query(
    `insert into outbox.events (type, payload, created_at) values ('order.b', '1', now() - interval '1 hour')`,
  );
  const late = await runCli(['status', '--check'], { databaseUrl: database.url });
  expect(late.code).toBe(1);
  expect(late.stdout).toMatch(
    /^CRITICAL: no relay is alive: nothing is delivered; billing: lag 1 h.*\(limit 5 min\)\n$/,
  );
  const fine = await runCli(['status', '--check', '--max-lag', '2h', '--json'], {
    databaseUrl: database.url,
  });
  expect(JSON.parse(fine.stdout)).toMatchObject({ problems: [{ what: 'relays' }] });
  const shown = await runCli(['status', '--json'], { databaseUrl: database.url });
  const { destinations } = JSON.parse(shown.stdout) as { destinations: { lagMs: number }[] };
  expect(destinations[0]?.lagMs).toBeGreaterThanOrEqual(3_600_000);
});

test.each([
  [['--max-lag', '5']],
  [['--check', '--max-parked', '-1']],
  [['--check', '--max-parked', 'many']],
  [['--max-parked', '1']],
])('%j is wrong use', async (args) => {
  const ended = await runCli(['status', ...args], { databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' });
  expect([ended.code, ended.stdout]).toEqual([2, '']);
});

test('a database that cannot be reached is 3, for monitors too', async () => {
  const ended = await runCli(['status', '--check'], { databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' });
  expect(ended.code).toBe(3);
});
