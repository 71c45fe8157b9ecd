/** One line per outcome, and never a flood of them. */
import { expect, test } from 'vitest';
import { OutcomeLog, type Log } from '../../activities/index.ts';
import type { FailureRow } from '../../src/storage/attempts.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  quietLog,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { enqueue } from '../../src/produce/enqueue.ts';

function failureOf(index: number, over: Partial<FailureRow> = {}): FailureRow {
  return {
    seq: String(index),
    eventId: `event-${index}`,
    destination: 'billing',
    tries: 0,
    charged: false,
    park: null,
    delayMs: 1000,
    status: null,
    errorClass: 'connection-refused',
    message: 'nobody there',
    excerpt: null,
    durationMs: 1,
    ...over,
  };
}

test('a hundred thousand failures of a destination are a handful of lines that name their number', () => {
  const { log, logged } = quietLog();
  const outcomes = new OutcomeLog(log);
  for (let batch = 0; batch < 100; batch++)
    outcomes.failed(
      `deliver/${batch}`,
      Array.from({ length: 1000 }, (_, index) =>
        failureOf(index, index % 2 === 0 ? {} : { errorClass: 'timeout' }),
      ),
    );
  outcomes.failed('deliver/x', [
    failureOf(1, { destination: 'audit', park: 'permanent', status: 422, charged: true }),
  ]);
  outcomes.close();
  expect(logged).toHaveLength(5 + 1 + 2);
  const [first] = logged;
  expect(first).toEqual({
    level: 'warn',
    message: 'will be retried',
    fields: {
      destination: 'billing',
      eventId: 'event-0',
      attempt: 1,
      status: null,
      errorClass: 'connection-refused',
      error: 'nobody there',
      durationMs: 1,
      workflowId: 'deliver/0',
      retryInMs: 1000,
    },
  });
  const summaries = logged.filter(({ message }) => message === 'more will be retried');
  const counted = summaries.map(({ fields }) => (fields as { deliveries: number }).deliveries);
  expect(counted.reduce((sum, count) => sum + count, 0) + 5).toBe(100_000);
  expect(summaries.map(({ fields }) => (fields as { errorClass: string }).errorClass)).toEqual(
    expect.arrayContaining(['timeout', 'connection-refused']),
  );
  expect(logged.find(({ fields }) => (fields as FailureRow).destination === 'audit')).toMatchObject({
    level: 'warn',
    message: 'parked: waits for a person',
    fields: { reason: 'permanent' },
  });
});

test('classes without end are summed up too', () => {
  const { log, logged } = quietLog();
  const outcomes = new OutcomeLog(log);
  const parked = Array.from({ length: 500 }, (_, index) =>
    failureOf(index, { errorClass: `class-${index}`, park: 'attempts-exhausted', charged: true }),
  );
  outcomes.failed('deliver/a', parked);
  outcomes.close();
  expect(logged).toHaveLength(5 + 11);
  expect(logged.every(({ level }) => level === 'error')).toBe(true);
});

test('a run over a dead destination logs by the window, with debug a line for each delivery', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  const gone = await startReceiver();
  await gone.stop();
  await applyTestConfig(
    database,
    `
    destinations:
      dead: { type: http, url: '${gone.url}', retry: { initialInterval: 10m }, circuit: { enabled: false } }
      billing: { type: http, url: '${receiver.url}' }
    routes: [{ match: 'dead', to: [dead] }, { match: 'order', to: [billing] }]`,
  );
  await database.pool.query(
    `insert into outbox.events (type, payload) select 'dead', '1' from generate_series(1, 2000)`,
  );
  const { log, logged } = quietLog();
  const verbose: Log = { ...log, enabled: () => true };
  const running = await startRun({ databaseUrl: database.url, log: verbose });
  const { id } = await enqueue(database.pool, { type: 'order', payload: 1 }, { ownTransaction: true });
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  await eventually(async () => {
    const [row] = await database.rows<{ tried: number }>(
      `select count(*)::int as tried from outbox.deliveries where destination = 'dead' and tries > 0`,
    );
    expect(row?.tried).toBe(2000);
  });
  await running.stop();
  const about = logged.filter(({ fields }) => (fields as { destination?: string }).destination === 'dead');
  const single = about.filter(({ message }) => message === 'will be retried');
  const more = about.filter(({ message }) => message === 'more will be retried');
  const told = more.reduce(
    (sum, { fields }) => sum + (fields as { deliveries: number }).deliveries,
    single.length,
  );
  expect(told).toBe(2000);
  expect(about.length).toBeLessThan(100);
  expect(logged.find(({ message }) => message === 'acknowledged')).toMatchObject({
    level: 'debug',
    fields: { eventId: id, destination: 'billing', attempt: 1, status: 204 },
  });
});
