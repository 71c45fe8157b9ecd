import { expect, test } from 'vitest';
import { inTurn } from '../support/index.ts';
import { eventuallyStand, openStage } from './stage.ts';

test('over all attempts an event keeps its id and key, and outbox-attempt counts every try', async () => {
  const { send, receiver, database } = await openStage({
    // Charged, uncharged, without an answer, charged, acknowledged.
    answer: inTurn(500, 503, 'reset', 409, 200),
    billing: 'retry: { initialInterval: 20ms, backoffCoefficient: 1, maximumAttempts: 5 }',
  });
  const [id = ''] = await send({ total: 1 });
  await eventuallyStand(database, [id], { state: 'delivered', tries: 5 });
  expect(receiver.requests.map((request) => [request.id, request.key, request.attempt])).toEqual(
    [1, 2, 3, 4, 5].map((attempt) => [id, `billing/${id}`, attempt]),
  );
  expect(new Set(receiver.requests.map(({ body }) => body.toString()))).toEqual(new Set(['{"total": 1}']));
  expect(
    await database.rows(
      'select try, status, error_class, charged from outbox.attempts where event_id = $1 order by try',
      [id],
    ),
  ).toEqual([
    { try: 1, status: 500, error_class: 'http-500', charged: true },
    { try: 2, status: 503, error_class: 'http-503', charged: false },
    { try: 3, status: null, error_class: 'connection-reset', charged: false },
    { try: 4, status: 409, error_class: 'http-409', charged: true },
    { try: 5, status: 200, error_class: null, charged: false },
  ]);
});
