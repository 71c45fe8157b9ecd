/** What a redrive does with each letter, what it passes over, and who it was. */
import { beforeAll, expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import { auditOf, episodes, openDeadLetters, settled } from '../resolve/stage.ts';
import { eventually } from '../support/index.ts';
import { openPlace, type Place } from './place.ts';

let place: Place;
beforeAll(async () => {
  place = await openPlace();
});

/** Parked, with payloads of their own. */
async function parkPayloads(payloads: readonly string[]): Promise<string[]> {
  const { database } = place;
  const events = payloads.map((payloadText) => ({ type: 'bill.made', payloadText }));
  const ids = (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  await eventually(async () => expect(await openDeadLetters(database, ids)).toHaveLength(ids.length));
  return ids;
}

test('an edit shows what it makes of the sample before anything is sent, and keeps numbers of any size', async () => {
  const ids = await parkPayloads([
    '{"answer": 422, "account": 12345678901234567890, "rate": 0.10000000000000000001}',
    '{"answer": 422, "account": 7}',
    '{"answer": 422}',
  ]);
  const patch =
    '[{"op": "replace", "path": "/account", "value": 9007199254740993}, {"op": "remove", "path": "/answer"}]';
  const { redrive, sample } = await place.redrives.preview({ type: 'bill.*', action: 'edit', patch });
  expect(sample[0]?.before).toContain('12345678901234567890');
  expect(sample[0]?.after).toBe('{"rate": 0.10000000000000000001, "account": 9007199254740993}');
  expect(sample[2]).toMatchObject({ after: null, problem: 'there is nothing at /account' });
  expect(await openDeadLetters(place.database, ids)).toHaveLength(3);

  await place.redrives.start(redrive.id, { actor: 'ada', reason: 'wrong account' });
  expect(await place.over(redrive.id)).toMatchObject({ state: 'done', total: 3, done: 2, skipped: 1 });
  const { skipped } = await place.redrives.status(redrive.id);
  expect(skipped).toEqual([{ why: 'there is nothing at /account', letters: 1 }]);
  const [first] = place.billing.of(`${ids[0]}:r2`);
  expect(first?.body.toString()).toBe('{"rate": 0.10000000000000000001, "account": 9007199254740993}');
  expect(await openDeadLetters(place.database, ids)).toHaveLength(1);
});

test('a redirect goes elsewhere, once', async () => {
  const ids = await place.park(7);
  const { id } = await place.go({
    letters: (await openDeadLetters(place.database, ids)).map((letter) => Number(letter.id)),
    ...{ action: 'redirect', to: 'spare' },
  });
  expect(await place.over(id)).toMatchObject({ state: 'done', done: 7 });
  for (const event of ids) expect(place.spare.of(event)).toHaveLength(1);
  await expect(
    place.redrives.preview({ all: true, action: 'redirect', to: 'nowhere' }),
  ).rejects.toMatchObject({
    code: 'OUTBOX_REDRIVE_INVALID',
    message: expect.stringContaining(
      "there is no destination 'nowhere'; there are: billing, spare",
    ) as string,
  });
});

test('a discard needs a reason, and is for the record', async () => {
  const ids = await place.park(7);
  const { redrive } = await place.redrives.preview({ type: 'order.created', action: 'discard' });
  await expect(place.redrives.start(redrive.id)).rejects.toMatchObject({ code: 'OUTBOX_COMMAND_REFUSED' });
  await place.redrives.start(redrive.id, { actor: 'ada', reason: 'test orders' });
  expect(await place.over(redrive.id)).toMatchObject({ state: 'done', done: 7, failed: 0 });
  const [episode] = await episodes(place.database, ids[0] ?? '');
  expect(episode).toMatchObject({
    resolution: 'discard',
    resolved_by: 'ada',
    resolution_reason: 'test orders',
  });
  const lines = await auditOf(place.database, `${place.database.name}/redrive/${redrive.id}`);
  expect(lines.map(({ action, outcome, events, actor }) => [action, outcome, events, actor])).toEqual([
    ['start', 'refused', 0, null],
    ['start', 'done', 7, 'ada'],
  ]);
  expect(await place.redrives.members(redrive.id)).toHaveLength(7);
});

test('what somebody resolved meanwhile is passed over, and told why', async () => {
  const ids = await place.park(8);
  place.heal(...ids);
  const { redrive } = await place.redrives.preview({ type: 'order.*' });
  const workflowId = (await openDeadLetters(place.database, ids))[0]?.workflow_id ?? '';
  await place.client.workflow
    .getHandle(workflowId)
    .executeUpdate('discard', { args: [{ event: ids[3], actor: 'bob', reason: 'known' }] });
  await place.redrives.start(redrive.id);
  expect(await place.over(redrive.id)).toMatchObject({ state: 'done', total: 8, done: 7, skipped: 1 });
  expect((await place.redrives.status(redrive.id)).skipped).toEqual([
    { why: 'resolved meanwhile: discard by bob', letters: 1 },
  ]);
  await settled(place.database, ids);
});

test('two redrives never take the same letter', async () => {
  const ids = await place.park(6);
  const one = await place.redrives.preview({ type: 'order.*', steps: [1] });
  const other = await place.redrives.preview({ type: 'order.*', steps: [1] });
  expect([one.redrive.total, other.redrive.total]).toEqual([6, 6]);
  await place.database.pool.query(`update outbox.destinations set paused_at = now() where name = 'spare'`);
  await place.redrives.start(one.redrive.id);
  await place.redrives.start(other.redrive.id);
  const third = await place.redrives.preview({ type: 'order.*' });
  const outcomes = [await place.over(one.redrive.id), await place.over(other.redrive.id)];
  // The first one's canary is refused again; what it left is not the second one's, which had been refused it.
  expect(outcomes[0]).toMatchObject({ state: 'stopped', acted: 1 });
  expect(outcomes[1]).toMatchObject({ acted: 0, skipped: 6 });
  expect(
    third.redrive.total + (third.redrive.leftOut[`in redrive ${one.redrive.id}`] ?? 0),
  ).toBeGreaterThanOrEqual(5);
  for (const event of ids)
    expect(
      (await episodes(place.database, event)).filter(({ resolution }) => resolution === 'retry').length,
    ).toBeLessThan(2);
});

test.each([
  [{}, 'say which dead letters'],
  [{ all: true, destination: 'billing' }, 'contradict'],
  [{ destinaton: 'billing' }, 'does not take "destinaton"'],
  [{ all: true, action: 'edit' }, 'an edit needs a "patch"'],
  [{ all: true, action: 'edit', patch: '[{"op": "put", "path": "/a"}]' }, 'knows add, remove'],
  [{ all: true, action: 'edit', patch: '[{' }, 'json'],
  [{ payload: '$.total >' }, 'no jsonpath'],
  [{ since: 'yesterday' }, 'are moments such as'],
  [{ all: true, steps: [0] }, '"steps" is a list'],
  [{ all: true, maxFailures: '200%' }, '"maxFailures" is a share'],
])('%j is refused: %s', async (request, message) => {
  await expect(place.redrives.preview(request as never)).rejects.toMatchObject({
    code: 'OUTBOX_REDRIVE_INVALID',
    message: expect.stringContaining(message) as string,
  });
});
