import { beforeAll, expect, test } from 'vitest';
import type { ResolutionAnswer } from '../../activities/index.ts';
import { signals, updates } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { episodes, openStage, settled, statusOf, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

test('redirect delivers to the other destination under that one’s key, and ends the workflow', async () => {
  const { id, workflowId } = await stage.parkOne();
  await stage.client.workflow.getHandle(workflowId).signal(signals.redirect, { to: 'spare' });
  await settled(stage.database, [id]);
  expect(stage.spare.of(id)).toMatchObject([{ id, key: `spare/${id}`, attempt: 1 }]);
  expect(stage.billing.of(id)).toHaveLength(1);
  expect(await episodes(stage.database, id)).toMatchObject([
    { resolution: 'redirect', redirected_to: 'spare' },
  ]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
});

test('an edited event is redirected as it was edited', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal(signals.edit, { payload: { answer: 422, edited: true } });
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(2));
  await handle.signal(signals.redirect, { to: 'spare' });
  await settled(stage.database, [id]);
  const [request] = stage.spare.of(id);
  expect(request).toMatchObject({ id: `${id}:r2`, key: `spare/${id}:r2` });
  expect(JSON.parse(String(request?.body))).toEqual({ answer: 422, edited: true });
});

test('redirect to a destination that has the event, or to none, is refused and says which there are', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  const answers = await Promise.all([
    handle.executeUpdate(updates.redirect, { args: [{ to: 'billing' }] }),
    handle.executeUpdate(updates.redirect, { args: [{ to: 'nowhere' }] }),
    handle.executeUpdate(updates.redirect, { args: [{}] }),
    handle.executeUpdate<ResolutionAnswer, []>('redirect'),
  ]);
  expect(answers.map(({ outcome }) => outcome)).toEqual(['refused', 'refused', 'refused', 'refused']);
  expect(answers[0]?.message).toContain(`event ${id} has`);
  expect(answers[1]?.message).toContain('there are: billing, spare');
  expect(answers[2]?.message).toContain('say where to');
  expect(answers[3]?.message).toContain('say where to');
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: null }]);
});
