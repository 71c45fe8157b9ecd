import { beforeAll, expect, test } from 'vitest';
import { signals, updates } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { episodes, openStage, settled, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

test('edit sends the new payload under a new key, and keeps the original', async () => {
  const { id, workflowId } = await stage.parkOne();
  await stage.client.workflow
    .getHandle(workflowId)
    .signal(signals.edit, { payload: { total: 7 }, actor: 'ada', reason: 'typo' });
  await settled(stage.database, [id]);
  const [original, edited] = stage.billing.of(id);
  expect(original).toMatchObject({ id, key: `billing/${id}` });
  expect(edited).toMatchObject({ id: `${id}:r2`, key: `billing/${id}:r2` });
  expect(JSON.parse(String(edited?.body))).toEqual({ total: 7 });
  expect(await stage.database.rows('select payload from outbox.events where id = $1', [id])).toEqual([
    { payload: { number: 0, answer: 422 } },
  ]);
  expect(
    await stage.database.rows(
      'select revision, payload, made_by, reason from outbox.revisions where event_id = $1',
      [id],
    ),
  ).toEqual([{ revision: 2, payload: { total: 7 }, made_by: 'ada', reason: 'typo' }]);
  expect(
    await stage.database.rows('select revision from outbox.delivered where event_id = $1', [id]),
  ).toEqual([{ revision: 2 }]);
});

test('headers can be edited alone, with the payload as it was', async () => {
  const { id, workflowId } = await stage.parkOne();
  stage.heal(id);
  const answer = await stage.client.workflow
    .getHandle(workflowId)
    .executeUpdate(updates.edit, { args: [{ headers: { 'x-tenant': 'b' } }] });
  expect(answer).toMatchObject({ outcome: 'done', message: expect.stringContaining('revision 2') as string });
  await settled(stage.database, [id]);
  const [original, edited] = stage.billing.of(id);
  expect(original?.headers['x-tenant']).toBeUndefined();
  expect(edited?.headers['x-tenant']).toBe('b');
  expect(edited?.body).toEqual(original?.body);
});

test('an edit that is refused too parks again, and the next edit is revision 3', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal(signals.edit, { payload: { answer: 422 } });
  await eventually(async () =>
    expect(await episodes(stage.database, id)).toMatchObject([{ resolution: 'edit' }, { resolution: null }]),
  );
  await handle.signal(signals.edit, { payload: null });
  await settled(stage.database, [id]);
  expect(stage.billing.of(id).map((request) => [request.id, String(request.body)])).toEqual([
    [id, '{"answer": 422, "number": 0}'],
    [`${id}:r2`, '{"answer": 422}'],
    [`${id}:r3`, 'null'],
  ]);
});

test('an edit cannot be applied twice: the second finds nothing parked', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  const answers = await Promise.all(
    [1, 2].map((total) => handle.executeUpdate(updates.edit, { args: [{ payload: { total } }] })),
  );
  expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['done', 'refused']);
  await settled(stage.database, [id]);
  expect(stage.billing.of(id).map((request) => request.id)).toEqual([id, `${id}:r2`]);
});

test('a payload that PostgreSQL cannot hold is refused, audited, and leaves the event parked', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  for (const payload of ['nul \0', 'lone \ud800', 'x'.repeat(1024 * 1024)]) {
    const answer = await handle.executeUpdate(updates.edit, { args: [{ payload }] });
    expect(answer.outcome).toBe('refused');
  }
  expect(
    await stage.database.rows('select outcome from outbox.audit where workflow_id = $1', [workflowId]),
  ).toEqual(Array.from({ length: 3 }, () => ({ outcome: 'refused' })));
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: null }]);
});
