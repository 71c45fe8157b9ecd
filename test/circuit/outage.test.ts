import { expect, test } from 'vitest';
import { eventually } from '../support/index.ts';
import { allDelivered, auditOf, charged, deadLetters, openStage, openWorkflows, stands } from './stage.ts';

test('an outage opens the circuit: nothing is charged, few workflows are open, the others get theirs, and all of it heals by itself', async () => {
  const stage = await openStage({ answer: 503 });
  const { database, billing, healthy } = stage;
  const ids = await stage.send(3_000);
  const standing = await stands(stage, 'open');
  expect(standing).toMatchObject({ lastStatus: 503, paused: false });

  // While it is open: probes are all that reaches it, and nothing holds up its neighbour.
  const others = await stage.sendHealthy(500);
  await allDelivered(database, others);
  expect(healthy.requests).toHaveLength(500);
  await eventually(async () => expect((await stage.standing()).failedProbes).toBeGreaterThanOrEqual(2));
  // The batches that were under way stopped early; since then three at a time, as probes.
  expect(billing.requests.length).toBeLessThan(400);
  const open = await openWorkflows(stage);
  expect(open['destination']).toBe(1);
  expect(open['deliver'] ?? 0).toBeLessThanOrEqual(3);
  const states = await database.rows(
    `select state, count(*)::int as n, max(attempts) as attempts from outbox.deliveries where destination = 'billing' group by state`,
  );
  expect(states.filter(({ state }) => state === 'pending')).toMatchObject([{ attempts: 0 }]);

  billing.answer(204);
  await allDelivered(database, ids);
  await stands(stage, 'closed');
  expect(await charged(database)).toBe(0);
  expect(await deadLetters(database)).toBe(0);
  await eventually(async () => expect(await openWorkflows(stage)).toEqual({ housekeeping: 1 }));
  expect((await auditOf(database)).map(({ action }) => action)).toEqual(['open', 'close']);
  for (const id of ids) expect(billing.of(id).filter(({ key }) => key !== `billing/${id}`)).toEqual([]);
});
