import { expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationSignals, signals } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import {
  allDelivered,
  auditOf,
  charged,
  command,
  deadLetters,
  openStage,
  openWorkflows,
  stands,
} from './stage.ts';

test('a broken credential pauses the destination, nothing is parked or charged, and resume delivers all of it', async () => {
  const stage = await openStage({ answer: 401 });
  const { database, client, billing } = stage;
  const ids = await stage.send(300);
  const standing = await stands(stage, 'paused');
  expect(standing.reason).toMatch(/events got HTTP 401$/);
  await eventually(async () =>
    expect(
      await database.rows('select state, count(*)::int as n from outbox.deliveries group by state'),
    ).toEqual([{ state: 'pending', n: 300 }]),
  );
  expect(billing.requests.length).toBeLessThan(200);
  expect([await deadLetters(database), await charged(database)]).toEqual([0, 0]);
  await eventually(async () => expect(await openWorkflows(stage)).toMatchObject({ destination: 1 }));

  // More of them wait too, and nothing is tried by itself.
  const before = billing.requests.length;
  const later = await stage.send(5);
  await stage.sendHealthy(20).then((others) => allDelivered(database, others));
  expect(billing.requests).toHaveLength(before);

  billing.answer(204);
  const handle = client.workflow.getHandle(stage.workflowId);
  await handle.signal(destinationSignals.resume, { actor: 'ada', reason: 'key renewed' });
  await allDelivered(database, [...ids, ...later]);
  await eventually(async () => expect((await handle.describe()).status.name).toBe('COMPLETED'));
  expect(await auditOf(database)).toMatchObject([
    { action: 'pause', actor: null },
    { action: 'resume', outcome: 'done', actor: 'ada', reason: 'key renewed' },
  ]);
});

test('a credential that breaks while a batch is under way stops the batch, and parks nothing', async () => {
  const stage = await openStage({ answer: (_, count) => (count <= 200 ? 204 : 401) });
  const ids = await stage.send(900);
  await stands(stage, 'paused');
  expect(stage.billing.requests.length).toBeLessThan(400);
  expect(await deadLetters(stage.database)).toBe(0);
  stage.billing.answer(204);
  await command(stage, 'resume');
  await allDelivered(stage.database, ids);
});

test('events that come one at a time pause it after twenty refusals in a row; refusals with successes between them do not', async () => {
  const stage = await openStage({
    answer: ({ body }) => (body.toString().includes('good') ? 204 : 403),
    billing: 'batch: { maximum: 1, inFlight: 1 }',
  });
  for (let round = 0; round < 3; round++) {
    await stage.send(9);
    const good = await stage.send(1, { good: true });
    await allDelivered(stage.database, good);
  }
  expect((await stage.standing()).paused).toBe(false);
  expect(await deadLetters(stage.database)).toBe(27);
  await stage.send(40);
  const { reason } = await stands(stage, 'paused');
  expect(reason).toMatch(/^2\d events in a row got HTTP 403$/);
  // Those before it was plain were parked one by one; the rest waits.
  expect(await deadLetters(stage.database)).toBeLessThan(27 + 25);
});

test('disabled, refusals that are all alike are parked, each for itself', async () => {
  const stage = await openStage({ answer: 422, circuit: 'enabled: false' });
  await stage.send(30);
  await eventually(async () => expect(await deadLetters(stage.database)).toBe(30));
  expect(await stage.standing()).toMatchObject({ paused: false, state: 'closed' });
});

test('retries wait as well while it is paused, and take no time from what their policy gives them', async () => {
  const stage = await openStage({
    answer: 500,
    billing:
      'retry: { initialInterval: 300ms, backoffCoefficient: 1, maximumAttempts: 50, scheduleToCloseTimeout: 4s, jitter: 0 }, timeout: 2s',
  });
  const [id = ''] = await stage.send(1);
  await eventually(async () => expect(await charged(stage.database)).toBeGreaterThanOrEqual(2));
  // Nobody else has a workflow for it: the command starts one.
  expect(await command(stage, 'pause', { reason: 'maintenance' })).toMatchObject({ outcome: 'done' });
  await stands(stage, 'paused');
  const state = (): Promise<{ state: string; attempts: number }[]> =>
    stage.database.rows('select state, attempts from outbox.deliveries where event_id = $1', [id]);
  await eventually(async () => expect(await state()).toMatchObject([{ state: 'pending' }]));
  const requests = stage.billing.requests.length;
  // Longer than the budget that is left to it.
  await sleep(5_000);
  expect(stage.billing.requests).toHaveLength(requests);
  await stage.client.workflow.getHandle(stage.workflowId).signal(destinationSignals.resume);
  await eventually(() => expect(stage.billing.requests.length).toBeGreaterThan(requests + 1));
  expect(await deadLetters(stage.database)).toBe(0);
  stage.billing.answer(204);
  await allDelivered(stage.database, [id]);
});

test('old events of a paused destination are parked in one workflow, and one signal brings all of them back', async () => {
  const stage = await openStage({ answer: 401 });
  const { database, client } = stage;
  const ids = await stage.send(2_500);
  await stands(stage, 'paused');
  const young = await command(stage, 'park', { olderThan: '1h' });
  expect(young).toMatchObject({
    outcome: 'done',
    events: 0,
    message: 'no pending event of billing is older than 1h',
  });
  const parked = await command(stage, 'park', { olderThan: '1ms', actor: 'ada' });
  expect(parked).toMatchObject({ outcome: 'done', events: 2_500 });
  const rows = await database.rows<{ workflow_id: string; n: number }>(
    `select workflow_id, count(*)::int as n from outbox.dead_letters where reason = 'paused' group by 1`,
  );
  expect(rows).toHaveLength(1);
  expect(rows[0]?.n).toBe(2_500);

  stage.billing.answer(204);
  await command(stage, 'resume');
  const fresh = await stage.send(3);
  await allDelivered(database, fresh);
  expect(await deadLetters(database)).toBe(2_500);
  const holder = client.workflow.getHandle(rows[0]?.workflow_id ?? '');
  await eventually(() => holder.signal(signals.retry, { actor: 'ada' }));
  await allDelivered(database, ids, { timeout: 40_000 });
  await eventually(async () => expect((await holder.describe()).status.name).toBe('COMPLETED'));
});
