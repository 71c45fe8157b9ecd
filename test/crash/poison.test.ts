import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  type TestDatabase,
} from '../support/index.ts';

const hook = new URL('./dieOnMarker.mjs', import.meta.url).href;

/** A supervisor: whenever the process dies, the next one is started. Answers how often it died so far. */
function keepRunning(database: TestDatabase, env: Record<string, string>): () => number {
  let deaths = 0;
  const start = (): void => {
    const run = spawnRun({ databaseUrl: database.url, env });
    void run.ended.then(({ signal }) => {
      if (signal !== 'SIGKILL' || database.pool.ended) return;
      deaths++;
      start();
    });
  };
  start();
  return () => deaths;
}

test('a payload that kills its worker ends as one poison dead letter, and its neighbours are delivered', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', concurrency: 1 } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const events = Array.from({ length: 6 }, (_, number) => ({
    type: 'order.created',
    payload: { number, text: number === 2 ? 'deadly' : 'harmless' },
  }));
  const ids = (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  const poison = ids[2] ?? '';
  const deaths = keepRunning(database, {
    NODE_OPTIONS: `--import ${hook}`,
    DIE_ON_MARKER: 'deadly',
    DIE_ON_PORT: String(receiver.port),
  });
  const startedAt = Date.now();
  await eventually(
    async () => {
      const letters = await database.rows(
        'select event_id, reason, attempts, last_error_class from outbox.dead_letters',
      );
      expect(letters).toEqual([
        { event_id: poison, reason: 'poison', attempts: 0, last_error_class: 'worker-lost' },
      ]);
      expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(ids.length - 1);
    },
    { timeout: 280_000, interval: 250 },
  );
  console.log(`poison: ${deaths()} workers died, ${Math.round((Date.now() - startedAt) / 1000)} s`);
  // Four lives for the batch, four for the event alone.
  expect(deaths()).toBeLessThanOrEqual(8);
  expect(receiver.of(poison)).toHaveLength(0);
  for (const id of ids.filter((each) => each !== poison))
    expect(receiver.of(id).length).toBeGreaterThanOrEqual(1);
}, 300_000);
