/** 10,000 letters at 200 a second while all that can die dies half-way: ours by SIGKILL, PostgreSQL and Temporal too. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { expect, onTestFailed, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { createRedrives } from '../../src/redrive/index.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { postgresServer, temporalServer } from '../chaos/servers.ts';
import { connectionsGone } from '../crash/drain.ts';
import { applyTestConfig, atEnd, eventually, spawnRun, startReceiver, uniqueName } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';

const letters = 10_000;
const keys = 100;
const rate = 200;
const processes = 2;
const fencedWords = 'a later execution owns this batch';

test('each letter of 10,000 goes once, in the order of its key, whatever is killed half-way', async (context) => {
  onlyWithEverything(context, 'kills');
  const directory = await mkdtemp(join(tmpdir(), 'outbox-storm-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  // As root the server runs as another user, who must be able to enter.
  await chmod(directory, 0o755);
  const [postgres, temporal, receiver] = await Promise.all([
    postgresServer(join(directory, 'postgres')),
    temporalServer(join(directory, 'temporal.db')),
    startReceiver(),
  ]);
  const pool = connect(postgres.url, { applicationName: 'test', onIdleError: () => undefined });
  atEnd(() => pool.end());
  await migrate(pool);
  const name = uniqueName();
  await applyTestConfig(
    { pool, name },
    `
    destinations: { billing: { type: http, url: '${receiver.url}', ordering: key } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const ids = await parkAll(pool);
  const run = () =>
    Array.from({ length: processes }, () =>
      spawnRun({
        databaseUrl: postgres.url,
        args: ['run', '--wait', '1m'],
        env: { TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: 'default' },
      }),
    );
  const first = run();
  onTestFailed(() => first.forEach((process) => console.error(process.stderr().slice(-2_000))));
  const connection = await Connection.connect({ address: temporal.address });
  atEnd(() => connection.close());
  const client = new Client({ connection });
  const redrives = createRedrives({ db: pool, name, temporal: { client, address: temporal.address } });
  const { redrive } = await redrives.preview({ destination: 'billing', steps: [10], rate }, { actor: 'ada' });
  await redrives.start(redrive.id, { actor: 'ada', reason: 'mended' });
  const arrived = (): number => new Set(receiver.requests.map(({ id }) => id)).size;
  await eventually(() => expect(arrived()).toBeGreaterThan(letters / 3), { interval: 20, timeout: 90_000 });

  await Promise.all(first.map((process) => process.kill('SIGKILL')));
  await connectionsGone(pool);
  await Promise.all([postgres.restart('kill', 500), temporal.restart('kill', 500)]);
  expect(arrived()).toBeLessThan(letters);
  const beforeRepeats = receiver.requests.length - arrived();
  // A workflow task that a busy machine is too late for is given to another process, which sends again what was under way in the first one.
  const takenOver = first.reduce((sum, process) => sum + process.stdout().split(fencedWords).length - 1, 0);
  run();
  const over = await eventually(
    async () => {
      const { redrive: now } = await redrives.status(redrive.id);
      expect(now.endedAt).not.toBeNull();
      return now;
    },
    { interval: 250, timeout: 120_000 },
  );

  expect(over).toMatchObject({
    state: 'done',
    total: letters,
    acted: letters,
    done: letters,
    failed: 0,
    skipped: 0,
  });
  expect(await columnOf(pool, 'select count(*) from outbox.deliveries')).toBe(0);
  // One episode for each, resolved by this redrive.
  expect(await columnOf(pool, 'select count(*) from outbox.dead_letters')).toBe(letters);
  expect(
    await columnOf(
      pool,
      `select count(*) from outbox.dead_letters where resolution = 'retry' and command_id = 'redrive/${redrive.id}'`,
    ),
  ).toBe(letters);
  const audit = await pool.query('select action, outcome, events from outbox.audit');
  expect(audit.rows).toEqual([{ action: 'start', outcome: 'done', events: letters }]);
  // Whatever came twice came under the same key, and first arrivals of a key of the event are in its order.
  const firstArrivals = [...new Set(receiver.requests.map(({ id }) => id))];
  expect(firstArrivals.slice().sort()).toEqual(ids.slice().sort());
  const places = new Map(ids.map((id, number) => [id, number]));
  const latest = new Map<number, number>();
  for (const id of firstArrivals) {
    const number = places.get(id) ?? NaN;
    const before = latest.get(number % keys) ?? -1;
    expect(number).toBeGreaterThan(before);
    latest.set(number % keys, number);
  }
  // At its rate: in five seconds five seconds' worth, a tenth more for the way from the token to the row, the canary and a second that was saved up.
  const most = await columnOf(
    pool,
    `select max(n) from (select count(*) over (order by sent_at range between interval '5 s' preceding and current row) as n
                         from outbox.redrive_members where redrive_id = ${redrive.id}) t`,
  );
  expect(most).toBeLessThanOrEqual(rate * 5 * 1.1 + rate + 10);
  const seconds = await columnOf(
    pool,
    `select extract(epoch from max(sent_at) - min(sent_at)) from outbox.redrive_members where redrive_id = ${redrive.id}`,
  );
  const repeats = receiver.requests.length - letters;
  console.log(
    `${letters} letters at ${rate}/s in ${Math.round(seconds)} s with everything killed after ${Math.round(letters / 3)}: ${repeats} repeats (${beforeRepeats} before, ${takenOver} batches taken over before)`,
  );
  // Under way, or answered and not yet written, when it was killed.
  expect(repeats).toBeLessThanOrEqual(2 * (50 + 200));
}, 240_000);

/** A destination that was paused for long: all of each key parked, in workflows that are yet to be started. */
async function parkAll(pool: Pool): Promise<string[]> {
  await pool.query(`update outbox.destinations set paused_at = now(), paused_reason = 'test'`);
  const ids: string[] = [];
  while (ids.length < letters) {
    const events = Array.from({ length: 1_000 }, (_, index) => {
      const number = ids.length + index;
      return { type: 'order.created', key: `k${number % keys}`, payload: { number } };
    });
    ids.push(...(await enqueue(pool, events, { ownTransaction: true })).map(({ id }) => id));
  }
  for (;;) {
    const count = await columnOf(
      pool,
      `select outbox.park_pending('billing', '${randomUUID()}', interval '0', 1000)`,
    );
    if (count === 0) break;
  }
  await pool.query('update outbox.destinations set paused_at = null, paused_reason = null');
  return ids;
}

async function columnOf(pool: Pool, sql: string): Promise<number> {
  const { rows } = await pool.query({ text: sql, rowMode: 'array' });
  return Number((rows as unknown[][])[0]?.[0] ?? NaN);
}
