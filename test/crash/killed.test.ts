import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { flushRows } from '../chaos/bounds.ts';
import { applyTestConfig, createTestDatabase, spawnRun, startReceiver } from '../support/index.ts';
import { connectionsGone, drained, received, unacknowledged, writeEvents } from './drain.ts';
import { onlyWithEverything } from '../support/everything.ts';

const events = 20_000;
const processes = 2;
const concurrency = 50;
const inFlight = 2;

test('killed with SIGKILL in the middle of a drain and started again, every event arrives; repeats are bounded', async (context) => {
  onlyWithEverything(context, 'kills');
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', concurrency: ${concurrency}, batch: { inFlight: ${inFlight} } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const ids = await writeEvents(database.pool, events);
  const killed = Array.from({ length: processes }, () => spawnRun({ databaseUrl: database.url }));
  await received(receiver, events / 4);
  await Promise.all(killed.map((process) => process.kill('SIGKILL')));
  await connectionsGone(database.pool);
  await sleep(500); // what was still in the sockets

  expect(receiver.requests.length).toBeLessThan(events);
  const open = await unacknowledged(database.pool, receiver);
  // Two batches at a time on one lane, each with its requests under way and its acknowledgements not yet written.
  const bound = inFlight * (concurrency + 2 * flushRows);
  for (let number = 0; number < processes; number++) spawnRun({ databaseUrl: database.url });
  const repeats = await drained(database.pool, receiver, ids);
  console.log(
    `SIGKILL after ${events / 4} of ${events}: ${repeats} repeats; ${open} had arrived unacknowledged; bound ${bound}`,
  );
  expect(repeats).toBe(open);
  expect(repeats).toBeLessThanOrEqual(bound);
}, 150_000);
