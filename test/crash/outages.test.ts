import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startPostgres } from '../../src/embedded/index.ts';
import { connect } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  servers,
  startReceiver,
  startRun,
  startTcpProxy,
  uniqueName,
} from '../support/index.ts';
import { drained, received, writeEvents } from './drain.ts';
import { onlyWithEverything } from '../support/everything.ts';

const events = 6_000;

test('PostgreSQL killed with -9 in the middle of a drain and started again: nothing is lost', async (context) => {
  onlyWithEverything(context, 'kills');
  const directory = await mkdtemp(join(tmpdir(), 'outbox-restart-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  // As root the server runs as another user, who must be able to enter.
  await chmod(directory, 0o755);
  const server = await startPostgres({ dataDir: join(directory, 'data') });
  atEnd(() => server.stop());
  const pool = connect(server.url, { applicationName: 'test', onIdleError: () => undefined });
  atEnd(() => pool.end());
  await migrate(pool);
  const receiver = await startReceiver();
  await applyTestConfig({ pool, name: uniqueName() }, configFor(receiver.url));
  const ids = await writeEvents(pool, events);
  await startRun({ databaseUrl: server.url });
  await received(receiver, events / 3);
  process.kill(server.pid, 'SIGKILL');
  await server.exited;
  expect(receiver.requests.length).toBeLessThan(events);
  await sleep(2_000);
  const again = await startPostgres({ dataDir: join(directory, 'data'), port: server.port });
  atEnd(() => again.stop());
  expect(again.port).toBe(server.port);
  const repeats = await drained(pool, receiver, ids);
  console.log(`PostgreSQL killed after ${events / 3} of ${events}: ${repeats} repeats`);
  // What was answered while PostgreSQL was away is kept in memory and written when it is back.
  expect(repeats).toBeLessThanOrEqual(2 * (50 + 200));
}, 150_000);

test('Temporal out of reach in the middle of a drain, for a while: nothing is lost, and nothing parked', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  const { temporalAddress, temporalNamespace } = servers();
  const proxy = await startTcpProxy(temporalAddress);
  await applyTestConfig(database, configFor(receiver.url));
  const ids = await writeEvents(database.pool, events);
  await startRun({
    databaseUrl: database.url,
    temporal: { address: proxy.address, namespace: temporalNamespace },
  });
  await received(receiver, events / 3);
  await proxy.become('refuse');
  // Longer than a workflow task may take: those under way are given out again.
  await sleep(12_000);
  const during = receiver.requests.length;
  expect(during).toBeLessThan(events);
  await proxy.become('pass');
  const repeats = await drained(database.pool, receiver, ids);
  console.log(`Temporal away after ${events / 3} of ${events}: ${repeats} repeats`);
  expect(repeats).toBeLessThanOrEqual(2 * (50 + 200));
  expect(await database.rows('select 1 from outbox.dead_letters')).toEqual([]);
}, 150_000);

/** Small batches: the servers are away while many of them are yet to be claimed and started. */
function configFor(url: string): string {
  return `
    destinations: { billing: { type: http, url: '${url}', batch: { maximum: 200 } } }
    routes: [{ match: '*', to: [billing] }]`;
}
