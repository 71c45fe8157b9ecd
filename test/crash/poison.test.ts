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
import { onlyWithEverything } from '../support/everything.ts';

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

test('a payload that kills its worker ends as one poison dead letter; who was only open beside it is delivered', async (context) => {
  onlyWithEverything(context, 'kills, one after another');
  const database = await createTestDatabase();
  // Those that wait for their answer are under way whenever a worker is lost.
  let isJudged = false;
  const receiver = await startReceiver({
    answer: ({ body }) => (body.includes('slow') && !isJudged ? 'hang' : 204),
  });
  const sender = `type: http, url: '${receiver.url}', timeout: 2s, circuit: { enabled: false }, retry: { initialInterval: 1s, maximumInterval: 1s }`;
  await applyTestConfig(
    database,
    `
    destinations: { billing: { ${sender} }, stock: { ${sender} } }
    routes: [{ match: 'order.*', to: [billing] }, { match: 'stock.*', to: [stock] }]`,
  );
  const texts = ['quick', 'slow', 'deadly', 'slow', 'quick', 'slow'];
  const events = texts.map((text) => ({ type: 'order.created', payload: { text } }));
  const others = ['slow', 'quick'].map((text) => ({ type: 'stock.moved', payload: { text } }));
  const written = await enqueue(database.pool, [...events, ...others], { ownTransaction: true });
  const ids = written.map(({ id }) => id);
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
      isJudged = letters.length > 0;
      expect(letters).toEqual([
        { event_id: poison, reason: 'poison', attempts: 0, last_error_class: 'worker-lost' },
      ]);
      expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(ids.length - 1);
    },
    { timeout: 400_000, interval: 250 },
  );
  console.log(`poison: ${deaths()} workers died, ${Math.round((Date.now() - startedAt) / 1000)} s`);
  // Five lives for the batch, three for the event alone.
  expect(deaths()).toBeLessThanOrEqual(8);
  expect(receiver.of(poison)).toHaveLength(0);
}, 420_000);
