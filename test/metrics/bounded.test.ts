/** However many destinations and types there are, the number of series is not theirs. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { expose } from '../../src/metrics/exposition.ts';
import { familiesOf } from '../../src/metrics/families.ts';
import { maximumDestinations, others, Tally } from '../../src/metrics/tally.ts';
import { applyTestConfig, createTestDatabase, startRun } from '../support/index.ts';
import { scrape } from './scrape.ts';

const many = 500;

function nameOf(index: number): string {
  return `d-${String(index).padStart(4, '0')}`;
}

test('of 500 destinations 200 have series of their own, the rest share one; types likewise', async () => {
  const database = await createTestDatabase();
  const names = Array.from({ length: many }, (_, index) => nameOf(index));
  await applyTestConfig(
    database,
    `
    destinations: { ${names.map((name) => `${name}: { type: http, url: 'http://127.0.0.1:9/' }`).join(', ')} }
    routes: [{ match: 'order.*', to: [${nameOf(0)}, ${nameOf(300)}, ${nameOf(400)}] }]`,
  );
  await database.pool.query(
    `insert into outbox.events (type, payload, deliver_at) select 'order.a', '1', now() + interval '1 day' from generate_series(1, 7)`,
  );
  await database.pool.query(
    `insert into outbox.events (type, payload) select 'log.' || n, '1' from generate_series(1, 50) n, generate_series(1, 2)`,
  );
  const running = await startRun({
    databaseUrl: database.url,
    metricsListen: parseListen('127.0.0.1:0'),
    roles: { relay: true, worker: false },
  });
  const found = await scrape(running.endpoints['metrics']);
  const lags = found.series.filter(({ name }) => name === 'outbox_lag_seconds');
  expect(lags).toHaveLength(maximumDestinations + 1);
  expect(lags.at(-1)?.labels).toEqual({ destination: others });
  const closed = (destination: string) =>
    found.value('outbox_destination_state', { destination, state: 'closed' });
  expect([closed(nameOf(0)), closed(others)]).toEqual([1, many - maximumDestinations]);
  const scheduled = (destination: string) =>
    found.value('outbox_deliveries', { destination, state: 'scheduled' });
  expect([scheduled(nameOf(0)), scheduled(others)]).toEqual([7, 14]);
  const types = found.series.filter(({ name }) => name === 'outbox_unrouted_events');
  expect(types).toHaveLength(21);
  expect(types.reduce((sum, { value }) => sum + value, 0)).toBe(100);
  expect(types.at(-1)).toMatchObject({ labels: { type: others }, value: 60 });
});

test('what a process counts is bounded the same way, and nothing of it is lost', () => {
  const tally = new Tally();
  for (let index = 0; index < many; index++) {
    for (let times = 0; times < 2; times++) {
      tally.sending();
      tally.sent(nameOf(index), 'acknowledged', 3);
    }
    tally.settled(nameOf(index), 'delivered', 2);
  }
  expect(tally.byDestination.size).toBe(maximumDestinations + 1);
  expect(tally.byDestination.get(others)?.sent.acknowledged).toBe(2 * (many - maximumDestinations));
  const text = expose(
    familiesOf({
      version: '1',
      tally,
      apiTally: undefined,
      standing: undefined,
      counts: undefined,
      databaseUp: false,
      temporalUp: undefined,
      visibilityUp: undefined,
      searchAttributes: undefined,
      lanesHeld: undefined,
      workerUp: undefined,
      unwritten: undefined,
      cutOff: false,
    }),
  );
  expect(text).toContain(`outbox_deliveries_total{destination="${others}",outcome="delivered"} 600`);
  expect(text).toContain('outbox_requests_in_flight 0');
  // Not known is left out, not zero.
  expect(text).not.toMatch(/outbox_(lag_seconds|temporal_up|relay_lanes)/);
});
