import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { configOf, eventuallyStand, openStage } from './stage.ts';

test('an event goes to every destination its routes name, each under its own key; one that refuses stops no other', async () => {
  const database = await createTestDatabase();
  const [billing, search, audit] = await Promise.all([
    startReceiver(),
    startReceiver({ answer: 'hang' }),
    startReceiver({ answer: 422 }),
  ]);
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${billing.url}' }
      search: { type: http, url: '${search.url}' }
      audit: { type: http, url: '${audit.url}' }
    routes:
      - { match: 'order.*', to: [billing, search] }
      - { match: '*', to: [audit] }`,
  );
  await startRun({ databaseUrl: database.url });
  const [order, refund] = await enqueue(
    database.pool,
    [
      { type: 'order.created', payload: {} },
      { type: 'refund.created', payload: {} },
    ],
    { ownTransaction: true },
  );
  await eventually(async () => {
    const rows = await database.rows(
      `select event_id, destination, state from outbox.deliveries where destination <> 'search' order by event_id`,
    );
    expect(rows).toEqual([
      { event_id: order?.id, destination: 'audit', state: 'parked' },
      { event_id: refund?.id, destination: 'audit', state: 'parked' },
    ]);
  });
  expect(billing.requests.map(({ key }) => key)).toEqual([`billing/${order?.id}`]);
  await eventually(() => expect(search.requests.map(({ key }) => key)).toEqual([`search/${order?.id}`]));
  expect(audit.requests.map(({ key }) => key).sort()).toEqual(
    [`audit/${order?.id}`, `audit/${refund?.id}`].sort(),
  );
});

test('a configuration applied while running is picked up: address, policy, and what is already retrying', async () => {
  const { send, database } = await openStage({
    answer: 503,
    billing: 'retry: { initialInterval: 1s, backoffCoefficient: 1, jitter: 0 }',
  });
  const [waiting = ''] = await send({ old: true });
  await eventuallyStand(database, [waiting], { state: 'retry', tries: 1 });
  const next = await startReceiver({ answer: ({ body }) => (body.toString().includes('old') ? 204 : 500) });
  await applyTestConfig(database, configOf(next.url, 'retry: { maximumAttempts: 1 }'));
  const [fresh = ''] = await send({});
  await eventuallyStand(
    database,
    [waiting, fresh],
    [{ state: 'delivered' }, { state: 'parked', attempts: 1 }],
  );
  expect(next.requests.map(({ id }) => id).sort()).toEqual([waiting, fresh].sort());
});

test('a destination with unsettled deliveries cannot be removed; removed in spite of that, its deliveries park', async () => {
  const { send, database, receiver } = await openStage({
    answer: 503,
    billing: 'retry: { initialInterval: 1s, backoffCoefficient: 1, jitter: 0 }',
  });
  const [id = ''] = await send({});
  await eventuallyStand(database, [id], { state: 'retry' });
  const without = `
    destinations: { spare: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [spare] }]`;
  await expect(applyTestConfig(database, without)).rejects.toThrow(/billing/);
  await database.pool.query(`delete from outbox.destinations where name = 'billing'`);
  await applyTestConfig(database, without);
  await eventuallyStand(database, [id], { state: 'parked', reason: 'permanent' });
  expect(await database.rows('select last_error_class, last_error from outbox.dead_letters')).toEqual([
    { last_error_class: 'destination-removed', last_error: 'There is no destination billing any more' },
  ]);
});

test('a delivery whose event is gone from the database is parked, not forgotten', async () => {
  const { send, database } = await openStage({
    answer: 503,
    billing: 'retry: { initialInterval: 1s, backoffCoefficient: 1, jitter: 0 }',
  });
  const [id = ''] = await send({});
  await eventuallyStand(database, [id], { state: 'retry' });
  await database.pool.query('delete from outbox.events where id = $1', [id]);
  await eventuallyStand(database, [id], { state: 'parked', reason: 'permanent' });
  expect(await database.rows('select event_type, last_error_class from outbox.dead_letters')).toEqual([
    { event_type: '(erased)', last_error_class: 'event-missing' },
  ]);
});
