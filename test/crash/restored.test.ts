/** The database is set back to an earlier copy of itself; copies that nobody confirmed are refused. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../src/embedded/index.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  runCli,
  servers,
  startReceiver,
  startRun,
  temporalClient,
  uniqueName,
  type Answer,
  type Receiver,
} from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';

/** A server of its own, whose files can be copied and put back. */
async function startOwnServer() {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-restored-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  const dataDir = join(directory, 'data');
  let server: EmbeddedPostgres;
  let port: number | undefined;
  const start = async (): Promise<EmbeddedPostgres> => {
    server = await startPostgres({ dataDir, ...(port === undefined ? {} : { port }) });
    port = server.port;
    return server;
  };
  const { url } = await start();
  atEnd(() => server.stop());
  const copy = join(directory, 'copy');
  return {
    url,
    pool: poolOf(url),
    copy,
    /** As a backup does, of a server that stands still. */
    backUp: async () => {
      await server.stop();
      execFileSync('cp', ['-a', dataDir, copy]);
      await start();
    },
    restore: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true });
      execFileSync('cp', ['-a', copy, dataDir]);
      await start();
    },
  };
}

function poolOf(url: string): Pool {
  const pool = connect(url, { applicationName: 'test', onIdleError: () => undefined });
  atEnd(() => pool.end());
  return pool;
}

async function write(pool: Pool, what: string, count: number): Promise<string[]> {
  const events = Array.from({ length: count }, () => ({ type: `order.${what}`, payload: { what } }));
  return (await enqueue(pool, events, { ownTransaction: true })).map(({ id }) => id);
}

async function states(pool: Pool): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ state: string; n: number }>(
    'select state, count(*)::int as n from outbox.deliveries group by state',
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

async function workflowOf(pool: Pool, eventId: string): Promise<string> {
  const { rows } = await pool.query<{ workflow_id: string }>(
    'select b.workflow_id from outbox.batches b join outbox.deliveries d on d.batch_id = b.id where d.event_id = $1',
    [eventId],
  );
  return rows[0]?.workflow_id ?? '';
}

function keysOf(receiver: Receiver, id: string): Set<string> {
  return new Set(receiver.of(id).map(({ key }) => key));
}

test('set back to an earlier copy: what it holds is delivered, under the same keys; what it does not know ends quietly', async (context) => {
  onlyWithEverything(context, 'a second server');
  const server = await startOwnServer();
  const { pool, url: databaseUrl } = server;
  await migrate(pool);
  let answers: Record<string, Answer> = { parked: 422, underway: 'hang' };
  const receiver = await startReceiver({
    answer: ({ body }) => answers[(JSON.parse(body.toString()) as { what: string }).what] ?? 204,
  });
  const name = uniqueName();
  await applyTestConfig(
    { pool, name },
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', timeout: 20s, batch: { splitUpTo: 0 }, retry: { initialInterval: 200ms } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const first = await startRun({ databaseUrl });
  const before = await write(pool, 'plain', 20);
  await eventually(() => expect(receiver.requests).toHaveLength(20));
  const [resolved = ''] = await write(pool, 'parked', 1);
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 1 }));
  const [waiting = ''] = await write(pool, 'parked', 1);
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 2 }));
  const underway = await write(pool, 'underway', 3);
  await eventually(() => expect(underway.flatMap((id) => receiver.of(id))).toHaveLength(3));
  await server.backUp();

  // The future that will be lost: of the batch under way two rows are delivered, the third is parked.
  answers = { parked: 422, underway: 204 };
  receiver.answer(({ id }) => (id === underway[2] ? 422 : 204));
  await first.stop();
  const second = await startRun({ databaseUrl });
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 3 }), { timeout: 60_000 });
  const restingId = await workflowOf(pool, underway[2] ?? '');
  const client = await temporalClient();
  await client.workflow.getHandle(await workflowOf(pool, resolved)).signal('retry');
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 2 }));
  const lost = await write(pool, 'plain', 5);
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 2 }));
  receiver.answer(422);
  const [lostParked = ''] = await write(pool, 'parked', 1);
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 3 }));
  const lostWorkflow = await workflowOf(pool, lostParked);
  await second.stop();
  expect(restingId).not.toBe('');

  await server.restore();
  expect(await states(pool)).toEqual({ claimed: 3, parked: 2 });
  await expect(startRun({ databaseUrl })).rejects.toMatchObject({ code: 'OUTBOX_DATABASE_RESTORED' });
  const looked = await runCli(['doctor', '--json'], { databaseUrl });
  expect(looked.code).toBe(1);
  expect(looked.stdout).toContain('OUTBOX_DATABASE_RESTORED');
  expect(await states(pool)).toEqual({ claimed: 3, parked: 2 });
  const seqBefore = BigInt(
    (await pool.query<{ n: string }>('select last_value as n from outbox.delivery_seq')).rows[0]?.n ?? 0,
  );
  const mended = await runCli(['doctor', '--restored'], { databaseUrl });
  expect(mended.stdout).toContain('back to pending: 3 deliveries');
  expect(await states(pool)).toEqual({ pending: 3, parked: 2 });

  receiver.answer(204);
  const requestsBefore = receiver.requests.length;
  await startRun({ databaseUrl });
  await eventually(async () => expect(await states(pool)).toEqual({ parked: 2 }), { timeout: 60_000 });
  // Of the batch under way each once more; of the others none.
  expect(
    receiver.requests
      .slice(requestsBefore)
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...underway].sort());
  // Both dead letters wait for somebody again, the one that was resolved in the lost future too.
  for (const id of [resolved, waiting]) {
    const workflow = await workflowOf(pool, id);
    await eventually(() => client.workflow.getHandle(workflow).signal('retry'), { timeout: 40_000 });
  }
  await eventually(async () => expect(await states(pool)).toEqual({}), { timeout: 60_000 });
  for (const id of [...before, ...underway, resolved, waiting, ...lost])
    expect(keysOf(receiver, id)).toEqual(new Set([`billing/${id}`]));
  // The workflows of the lost future, one of a batch that is gone and one of a row that is elsewhere, found nothing and ended.
  for (const id of [lostWorkflow, restingId])
    await eventually(async () => {
      expect((await client.workflow.getHandle(id).describe()).status.name).toBe('COMPLETED');
    });
  // Numbers that the lost future gave out are not given again.
  const { rows } = await pool.query<{ seq: string }>(`select nextval('outbox.delivery_seq') as seq`);
  expect(BigInt(rows[0]?.seq ?? 0)).toBeGreaterThan(seqBefore + 1_000n);
}, 240_000);

test('a copy of the whole server beside the first is refused, while the first goes on', async (context) => {
  onlyWithEverything(context, 'a second server');
  const server = await startOwnServer();
  await migrate(server.pool);
  const receiver = await startReceiver();
  const name = uniqueName();
  await applyTestConfig(
    { pool: server.pool, name },
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const first = await startRun({ databaseUrl: server.url });
  await first.stop();
  await server.backUp();
  const again = await startRun({ databaseUrl: server.url });
  // The mark reaches the namespace through a worker.
  const handle = (await temporalClient()).workflow.getHandle(`${name}/housekeeping`);
  const { rows } = await server.pool.query<{ mark: string }>(
    'select mark from outbox.marks order by made_at desc limit 1',
  );
  await eventually(async () => expect((await handle.describe()).memo?.['mark']).toBe(rows[0]?.mark));

  const clone = await startPostgres({ dataDir: server.copy });
  atEnd(() => clone.stop());
  await expect(startRun({ databaseUrl: clone.url })).rejects.toMatchObject({
    code: 'OUTBOX_DATABASE_RESTORED',
  });
  const spawned = await runCli(['run'], { databaseUrl: clone.url });
  expect(spawned.code).toBe(1);
  expect(spawned.stderr).toContain('doctor --restored');
  expect(spawned.stderr).not.toContain('    at ');

  const [id = ''] = await write(server.pool, 'plain', 1);
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  expect(again.logged.filter(({ level }) => level === 'error')).toEqual([]);
}, 120_000);

test('a restored dump, or a copy in the same server, is refused until somebody says that it goes on', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const first = await startRun({ databaseUrl: database.url });
  await first.stop();
  await database.pool.end();
  const copy = uniqueName();
  const admin = connect(servers().databaseUrl);
  await admin.query(`create database "${copy}" template "${database.name}"`).finally(() => admin.end());
  const url = new URL(database.url);
  url.pathname = `/${copy}`;
  atEnd(async () => {
    const again = connect(servers().databaseUrl);
    await again.query(`drop database if exists "${copy}" with (force)`).finally(() => again.end());
  });
  await expect(startRun({ databaseUrl: url.href })).rejects.toMatchObject({
    code: 'OUTBOX_DATABASE_RESTORED',
    hint: expect.stringContaining('doctor --restored') as string,
  });
  const pool = poolOf(url.href);
  const [id = ''] = await write(pool, 'plain', 1);
  expect((await runCli(['doctor', '--restored'], { databaseUrl: url.href })).stdout).toContain(
    'work goes on',
  );
  await startRun({ databaseUrl: url.href });
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  // The first one is the copy now.
  await expect(startRun({ databaseUrl: database.url })).rejects.toMatchObject({
    code: 'OUTBOX_DATABASE_RESTORED',
  });
}, 120_000);
