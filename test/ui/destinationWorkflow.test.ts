/** A person on call opens the page of a sick destination: it says what is the matter and what to send, and that works. */
import { expect, test } from 'vitest';
import { allDelivered, auditOf, openStage, stands } from '../circuit/stage.ts';
import { statusOf } from '../resolve/stage.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually } from '../support/index.ts';
import { confirm, fillSignal, openBrowser, openDetails, sendSignal, takePicture } from './browser.ts';

test('an open circuit: why, since when, how many wait, when it is probed; probe does not wait for that', async () => {
  const page = await openBrowser();
  const stage = await openStage({ answer: 503, probeAfter: '1h' });
  const ids = await stage.send(20);
  await stands(stage, 'open');
  const details = await openDetails(page, stage.workflowId, 'is open');
  const before = await stage.standing();
  for (const said of [
    'The circuit of billing is open',
    before.reason ?? 'a reason',
    'HTTP 503',
    `${before.waiting} waiting to be sent`,
    'none of them is charged an attempt',
    'It goes on by itself once it answers',
    'not probed yet',
    'next probe',
    'Send a Signal',
    'probe, input empty',
    'temporal-outbox destinations probe billing',
  ])
    expect(details).toContain(said);
  await takePicture(page, 'open-circuit');

  stage.billing.answer(204);
  await sendSignal(page, 'probe');
  await allDelivered(stage.database, ids);
  await eventually(async () => expect(await statusOf(stage.client, stage.workflowId)).toBe('COMPLETED'));
});

test('a pause by refusals: that nothing goes on by itself, and what to mend first; resume delivers', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const page = await openBrowser();
  const stage = await openStage({ answer: 401 });
  const ids = await stage.send(300);
  await stands(stage, 'paused');
  const details = await openDetails(page, stage.workflowId);
  const { reason, waiting } = await stage.standing();
  for (const said of [
    'billing is paused',
    reason ?? 'a reason',
    'HTTP 401',
    `${waiting} waiting to be sent`,
    'It refused everything alike',
    'nothing goes on by itself',
    'resume, input empty',
    'temporal-outbox destinations resume billing',
  ])
    expect(details).toContain(said);
  await takePicture(page, 'paused-destination');

  stage.billing.answer(204);
  const dialog = await fillSignal(page, 'resume', '{"actor": "ada", "reason": "the key was renewed"}');
  await takePicture(page, 'send-resume');
  await confirm(page, dialog, 'Submit');
  await allDelivered(stage.database, ids);
  expect((await auditOf(stage.database)).at(-1)).toMatchObject({
    action: 'resume',
    outcome: 'done',
    actor: 'ada',
    reason: 'the key was renewed',
  });
});
