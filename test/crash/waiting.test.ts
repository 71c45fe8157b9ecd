/** How long an event may wait when one of two processes is killed under load. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
} from '../support/index.ts';
import { writeEvents } from './drain.ts';
import { onlyWithEverything } from '../support/everything.ts';

/** The age at which a claim's workflow is looked for, and what Temporal takes to notice that a worker is gone. */
const boundMs = 15_000 + 20_000;
const writeForMs = 12_000;

test('of two `run` processes one is killed under load: no event waits longer than the age of claims and twenty seconds', async (context) => {
  onlyWithEverything(context, 'kills');
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations:
      first: { type: http, url: '${receiver.url}', batch: { maximum: 50 } }
      second: { type: http, url: '${receiver.url}', batch: { maximum: 50 } }
    routes: [{ match: '*', to: [first, second] }]`,
  );
  // Each holds one of the two lanes.
  const processes = [spawnRun({ databaseUrl: database.url }), spawnRun({ databaseUrl: database.url })];
  await eventually(
    async () => {
      const owners = await database.rows('select distinct owner from outbox.lanes where owner is not null');
      expect(owners).toHaveLength(2);
    },
    { timeout: 60_000 },
  );
  const writtenAt = new Map<string, number>();
  const startedAt = Date.now();
  let killed = false;
  while (Date.now() - startedAt < writeForMs) {
    for (const id of await writeEvents(database.pool, 20)) writtenAt.set(id, Date.now());
    if (!killed && Date.now() - startedAt > writeForMs / 3) {
      killed = true;
      await processes[0]?.kill('SIGKILL');
    }
    await sleep(100);
  }
  await eventually(async () => expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]), {
    timeout: 90_000,
    interval: 250,
  });
  const waits = [...writtenAt].flatMap(([id, at]) => {
    const firstAt = new Map<string, number>();
    for (const { key, receivedAtMs } of receiver.of(id))
      if (!firstAt.has(key)) firstAt.set(key, receivedAtMs);
    expect([...firstAt.keys()].sort()).toEqual([`first/${id}`, `second/${id}`]);
    return [...firstAt.values()].map((receivedAt) => receivedAt - at);
  });
  const longest = Math.max(...waits);
  console.log(`one of two killed: ${waits.length} deliveries, the longest wait ${longest} ms`);
  expect(longest).toBeLessThanOrEqual(boundMs);
}, 180_000);
