import { expect, test } from 'vitest';
import { allDelivered, auditOf, charged, openStage } from './stage.ts';

test('a crowd of events that are refused with 500 again and again, among others that go well, opens no circuit', async () => {
  const stage = await openStage({
    answer: ({ attempt, body }) => (body.toString().includes('bad') && attempt <= 2 ? 500 : 204),
    billing: 'retry: { initialInterval: 200ms, backoffCoefficient: 1 }',
  });
  const ids = await stage.send(600, (number) => (number % 10 === 0 ? { bad: true } : {}));
  await allDelivered(stage.database, ids, { timeout: 40_000 });
  // Each of the sixty was charged twice, and nothing was refunded: it was no outage.
  expect(await charged(stage.database)).toBe(120);
  expect(await auditOf(stage.database)).toEqual([]);
}, 60_000);
