/** PostgreSQL goes away in the middle of a start: it is waited for, as when it was away from the beginning. */
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  startTcpProxy,
} from '../support/index.ts';
import { drained, writeEvents } from './drain.ts';

test('a start whose connections break wherever it may be is tried again, and ends no process', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  // Bytes after which each connection breaks: in the login, in the look at the schema, later and later after it.
  const starts = await Promise.all(
    [500, 1_500, 1_900, 2_300, 2_700].map(async (cutAfter) => {
      const direct = new URL(database.url);
      const wire = await startTcpProxy(direct.host);
      await wire.become({ cutAfter });
      direct.host = wire.address;
      return { cutAfter, wire, process: spawnRun({ databaseUrl: direct.href }) };
    }),
  );
  for (const { process } of starts) {
    await eventually(
      () => {
        const tried = /not reachable yet|"ready"/.test(process.stdout()) || process.child.exitCode !== null;
        expect(tried).toBe(true);
      },
      { timeout: 30_000 },
    );
  }
  for (const { wire } of starts) await wire.become('pass');
  for (const { cutAfter, process } of starts) {
    await eventually(
      () => {
        expect(process.child.exitCode, `cut after ${cutAfter} bytes: ${process.stderr()}`).toBeNull();
        expect(process.stdout()).toContain('"ready"');
      },
      { timeout: 60_000, interval: 100 },
    );
  }
  const broken = starts.filter(({ process }) => process.stdout().includes('not reachable yet'));
  console.log(`broken in the middle: cut after ${broken.map(({ cutAfter }) => cutAfter).join(', ')} bytes`);
  expect(broken.length).toBeGreaterThanOrEqual(2);
  const ids = await writeEvents(database.pool, 10);
  await drained(database.pool, receiver, ids);
}, 120_000);
