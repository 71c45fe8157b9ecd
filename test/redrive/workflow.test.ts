/** A redrive from the Temporal UI alone: a filter as input, a preview, a start by its link, signals. */
import { beforeAll, expect, test } from 'vitest';
import { eventually, uniqueName } from '../support/index.ts';
import { openDeadLetters, pageOf, settled, statusOf } from '../resolve/stage.ts';
import type { RedriveOutcome } from '../../workflows/contract.ts';
import { openPlace, type Place } from './place.ts';

let place: Place;
beforeAll(async () => {
  place = await openPlace();
});

const startByHand = async (input: unknown, workflowId = uniqueName('by-hand')) =>
  place.client.workflow.start('redrive', {
    workflowId,
    taskQueue: place.database.taskQueue,
    args: [input],
  });

test('a filter makes a preview, whose page has a link that starts it', async () => {
  const ids = await place.park(7);
  place.heal(...ids);
  const handle = await startByHand({ destination: 'billing', status: 422 });
  const preview = (await handle.result()) as RedriveOutcome;
  expect(preview).toMatchObject({ state: 'previewed', total: 7 });
  expect(await openDeadLetters(place.database, ids)).toHaveLength(7);
  const page = await pageOf(place.client, handle.workflowId);
  expect(page).toContain('7 dead letters** would go. **Nothing was sent');
  expect(page).toContain(preview.start);
  // What the start page does with the link: the same id, and the input of the run that it names.
  const link = new URL(preview.start ?? '', 'http://ui');
  expect(link.pathname).toBe('/namespaces/default/workflows/start-workflow');
  const { workflowType, taskQueue, workflowId, runId } = Object.fromEntries(link.searchParams);
  const history = await place.client.workflow.getHandle(workflowId ?? '', runId).fetchHistory();
  const input = history.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
  expect(JSON.parse(String(input))).toEqual({ redrive: preview.id });
  const started = await place.client.workflow.start(workflowType ?? '', {
    workflowId: workflowId ?? '',
    taskQueue: taskQueue ?? '',
    args: [JSON.parse(String(input))],
  });
  expect(await started.result()).toMatchObject({ id: preview.id, state: 'done', done: 7 });
  await settled(place.database, ids);
  // Once more: refused, and said so.
  const again = await startByHand({ redrive: preview.id });
  expect(await again.result()).toMatchObject({ refused: expect.stringContaining('is over: done') as string });
});

test('pause, resume and cancel, by signal and update', async () => {
  const ids = await place.park(12);
  place.heal(...ids);
  place.delay(ids[0] ?? '', 2_000);
  const handle = await startByHand({ destination: 'billing', steps: [2], start: true });
  await eventually(async () =>
    expect(await pageOf(place.client, handle.workflowId)).toContain('tries the first few'),
  );
  await handle.signal('pause', { actor: 'ada', reason: 'lunch' });
  await eventually(async () =>
    expect(await pageOf(place.client, handle.workflowId)).toContain('**paused** by ada'),
  );
  expect(await handle.executeUpdate('pause', { args: [{}] })).toMatchObject({ outcome: 'refused' });
  await eventually(async () =>
    expect(place.billing.requests.filter(({ id }) => ids.includes(id))).toHaveLength(14),
  );
  expect(await openDeadLetters(place.database, ids)).toHaveLength(10);
  expect(await handle.executeUpdate('resume', { args: [{ actor: 'ada' }] })).toMatchObject({
    outcome: 'done',
  });
  await handle.signal('junk-nobody-knows');
  await handle.signal('cancel', [1]);
  await eventually(async () => expect((await openDeadLetters(place.database, ids)).length).toBeLessThan(10));
  await handle.signal('cancel', { actor: 'ada', reason: 'enough' });
  const end = (await handle.result()) as RedriveOutcome;
  if (end.state === 'stopped') expect(end.why).toBe('cancelled by ada: enough');
  expect(end.done + end.retrying + end.failed).toBeLessThanOrEqual(12);
  expect(await statusOf(place.client, handle.workflowId)).toBe('COMPLETED');
});

test('an open circuit stops it', async () => {
  const ids = await place.park(6);
  await place.database.pool.query(
    `insert into outbox.circuits (destination, state, reason, opened_at, next_probe_at) values ('billing', 'open', 'test', now(), now() + interval '1 h')
     on conflict (destination) do update set state = 'open', reason = 'test', opened_at = now(), next_probe_at = now() + interval '1 h'`,
  );
  const { id } = await place.go({ destination: 'billing' });
  expect(await place.over(id)).toMatchObject({
    state: 'stopped',
    acted: 0,
    why: 'the circuit of billing is open: test',
  });
  expect((await openDeadLetters(place.database, ids)).length).toBeGreaterThanOrEqual(6);
  await place.database.pool.query('delete from outbox.circuits');
});

test.each([
  [null, 'expected one JSON object'],
  [{}, 'say which dead letters'],
  [{ redrive: 'x' }, '"redrive" is the number'],
  [{ destination: 'billing', status: 'x' }, '"status" is the status'],
  [{ all: true, action: 'redirect', to: 'nowhere' }, 'there is no destination'],
  [{ redrive: 4711 }, 'there is no redrive 4711'],
  [{ redrive: 1, linesBefore: 7 }, 'linesBefore'],
])('a start with %j ends at once: %s', async (input, message) => {
  const handle = await startByHand(input);
  await expect(handle.result()).rejects.toMatchObject({
    cause: { message: expect.stringContaining(message) as string },
  });
});
