/** With OUTBOX_SCREENSHOTS=<dir> the first test also takes the pictures of the README. */
import { beforeAll, expect, test } from 'vitest';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually } from '../support/index.ts';
import {
  auditOf,
  episodes,
  openDeadLetters,
  openStage,
  pageOf,
  runOf,
  settled,
  statusOf,
  type Stage,
} from '../resolve/stage.ts';
import {
  chooseAction,
  confirm,
  fillSignal,
  openBrowser,
  openDetails,
  pictures,
  sendSignal,
  takePicture,
} from './browser.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage(pictures === undefined ? {} : { name: 'orders' });
});

test('a person who opens the parked workflow reads what failed, and sends retry with empty input: it arrives', async () => {
  const page = await openBrowser();
  const { id, workflowId } = await stage.parkOne();
  const details = await openDetails(page, workflowId);
  for (const said of [
    '1 delivery parked',
    id,
    'order.created',
    'billing',
    'HTTP 422',
    'tried once',
    'Send a Signal',
  ])
    expect(details).toContain(said);
  await takePicture(page, 'parked-workflow');

  stage.heal(id);
  const dialog = await fillSignal(page, 'retry');
  await takePicture(page, 'send-signal');
  await confirm(page, dialog, 'Submit');
  await settled(stage.database, [id]);
  expect(stage.billing.of(id).map(({ key, attempt }) => ({ key, attempt }))).toEqual([
    { key: `billing/${id}`, attempt: 1 },
    { key: `billing/${id}`, attempt: 2 },
  ]);
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: 'retry' }]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
});

/** The UI shows typographic quotes. */
const junk: readonly (readonly [signal: string, input: string, why: RegExp])[] = [
  ['retry', '[1, 2]', /got an array/],
  ['edit', '{"paylaod": {}}', /does not take .paylaod./],
  ['redirect', '{"to": "nowhere"}', /there is no destination .nowhere./],
  ['discard', '"please"', /got string .please./],
];

test('junk sent with each signal is refused with a line on the page, and the workflow goes on waiting', async (context) => {
  onlyWithEverything(context, 'a browser for what is shown without one');
  const page = await openBrowser();
  const { id, workflowId } = await stage.parkOne();
  for (const [signal, input, why] of junk) {
    // A fresh page each time: after two signals an old one holds all the connections that a browser opens to one host.
    await openDetails(page, workflowId);
    await sendSignal(page, signal, input);
    await eventually(async () => expect(await pageOf(stage.client, workflowId)).toMatch(why));
  }
  const details = await openDetails(page, workflowId);
  for (const [, , why] of junk) expect(details).toMatch(why);
  expect(await statusOf(stage.client, workflowId)).toBe('RUNNING');
  expect(await openDeadLetters(stage.database, [id])).toHaveLength(1);
  expect((await auditOf(stage.database, workflowId)).map(({ action, outcome }) => [action, outcome])).toEqual(
    junk.map(([signal]) => [signal, 'refused']),
  );
});

test('a workflow terminated in the UI leaves its row parked, gets a waiting successor, and delivers on retry', async (context) => {
  onlyWithEverything(context, 'a browser for what is shown without one');
  const page = await openBrowser();
  const { id, workflowId } = await stage.parkOne();
  const run = await runOf(stage.client, workflowId);
  await openDetails(page, workflowId);
  await confirm(page, await chooseAction(page, 'Terminate'), 'Terminate');
  // Asked of this run: the successor may have begun before the dialog is seen to be gone.
  await eventually(async () => expect(await statusOf(stage.client, workflowId, run)).toBe('TERMINATED'));
  expect(await openDeadLetters(stage.database, [id])).toMatchObject([{ attempts: 1 }]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('RUNNING'), {
    timeout: 30_000,
  });
  expect(await openDeadLetters(stage.database, [id])).toMatchObject([{ attempts: 1, tries: 1 }]);

  stage.heal(id);
  await openDetails(page, workflowId);
  await sendSignal(page, 'retry');
  await settled(stage.database, [id]);
  expect(stage.billing.of(id)).toHaveLength(2);
});
