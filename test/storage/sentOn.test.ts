/** What is parked leaves its workflow for one of its own. A command that reaches the first one acts where the rows are. */
import { expect, test } from 'vitest';
import type { ParsedCommand } from '../../src/core/command.ts';
import { finishAttempt, recordFailures } from '../../src/storage/attempts.ts';
import { announceCommand } from '../../src/storage/audit.ts';
import { resolve } from '../../src/storage/resolutions.ts';
import { claimedBatch, databaseWith, failure, openRun, rowsOfBatch } from './fixtures.ts';

/** A batch that ended its attempt with so many parked, or `retrying`, in workflows of their own; `stayed` more than are split off. */
async function left(count: number, { retrying = false } = {}) {
  const database = await databaseWith({ billing: { splitUpTo: 5 }, spare: {} });
  const { pool, name } = database;
  const batch = await claimedBatch(pool, count);
  const opened = await openRun(pool, batch.workflowId);
  const rows = await rowsOfBatch(pool, batch.batchId);
  const how = retrying ? {} : { park: 'exhausted' as const };
  await recordFailures(
    pool,
    opened,
    rows.map((row) => failure(row, how)),
  );
  await finishAttempt(pool, opened, [], { maxSingles: 200, keep: true });
  const workflowOf = (event: string) => `${name}/deliver/billing/${event}`;
  const send = (command: ParsedCommand, via = 'signal') => resolve(pool, batch.workflowId, command, via);
  return { ...database, ...batch, workflowOf, send };
}

test('retry acts on all that left, each in its own workflow, and tells whom to wake', async () => {
  const { send, events, workflowOf, rows, workflowId } = await left(2);
  const sentOn = events.map(workflowOf);
  expect(await send({ action: 'retry', actor: 'ada', commandId: 'c-1' })).toEqual({
    outcome: 'done',
    message: expect.stringMatching(/^sent on to 2 workflows: /) as string,
    events: 2,
    sentOn,
  });
  expect(await rows(`select 1 from outbox.deliveries where state = 'parked'`)).toEqual([]);
  expect(await rows('select workflow_id, outcome, events from outbox.audit order by id')).toEqual([
    ...sentOn.map((workflow) => ({ workflow_id: workflow, outcome: 'done', events: 1 })),
    { workflow_id: workflowId, outcome: 'done', events: 0 },
  ]);
  // Its worker died before it told them.
  const again = await send({ action: 'retry', actor: 'ada', commandId: 'c-1' });
  expect(again).toMatchObject({ outcome: 'done', repeated: true });
  expect(again.sentOn?.toSorted()).toEqual(sentOn.toSorted());
  expect(await rows('select 1 from outbox.audit')).toHaveLength(3);
});

test('named ones alone are acted on; what takes a name takes it still, and one that is not there refuses all', async () => {
  const { send, events, workflowOf, rows } = await left(3);
  const [first = '', second = '', third = ''] = events;
  expect(await send({ action: 'edit', payload: {} })).toMatchObject({
    outcome: 'refused',
    message: '3 deliveries are parked here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}',
  });
  const elsewhere = '019a0000-0000-7000-8000-000000000000';
  expect((await send({ action: 'retry', events: [first, elsewhere] })).message).toContain(
    `not parked in this workflow: ${elsewhere}`,
  );
  expect(await send({ action: 'discard', events: [first.toUpperCase()] })).toMatchObject({
    outcome: 'done',
    events: 1,
    sentOn: [workflowOf(first)],
  });
  expect(await send({ action: 'redirect', events: [second, third], to: 'spare' })).toMatchObject({
    outcome: 'done',
    events: 2,
    sentOn: [second, third].map(workflowOf),
  });
  expect(await rows('select event_id as id, resolution from outbox.dead_letters order by event_id')).toEqual([
    { id: first, resolution: 'discard' },
    { id: second, resolution: 'redirect' },
    { id: third, resolution: 'redirect' },
  ]);
});

test('who sent it goes with it, and with nothing else', async () => {
  const { send, events, rows, pool, workflowId } = await left(2);
  const [first = ''] = events;
  const command: ParsedCommand = { action: 'discard', actor: 'ada', events: [first], commandId: 'c-1' };
  await announceCommand(pool, workflowId, command);
  await send(command, 'update');
  await send({ action: 'retry', actor: 'eve', commandId: 'c-2' }, 'update');
  expect(await rows('select action, known from outbox.audit order by id')).toEqual([
    { action: 'discard', known: 'session_user' },
    { action: 'discard', known: 'session_user' },
    { action: 'retry', known: 'claimed' },
    { action: 'retry', known: 'claimed' },
  ]);
  expect(await rows('select 1 from outbox.announced_commands')).toEqual([]);
});

test('what somebody said of one event is not turned to another', async () => {
  const { events, rows, pool, workflowId, workflowOf } = await left(2);
  const [first = '', second = ''] = events;
  const command: ParsedCommand = { action: 'discard', actor: 'ada', events: [first], commandId: 'c-1' };
  await announceCommand(pool, workflowId, command);
  const readdress = (to: string, sent: ParsedCommand) =>
    pool.query('select outbox.readdress_command($1, $2, $3, $4)', [
      workflowId,
      JSON.stringify(command),
      to,
      JSON.stringify(sent),
    ]);
  await readdress(workflowOf(second), { ...command, events: [second] });
  await readdress(workflowOf(first), { ...command, action: 'retry' });
  await readdress('deliver/elsewhere', command);
  expect(await rows('select workflow_id from outbox.announced_commands')).toEqual([
    { workflow_id: workflowId },
  ]);
});

test('what left and is not parked is not called settled', async () => {
  const { send, events, workflowOf } = await left(1, { retrying: true });
  expect(await send({ action: 'retry' })).toMatchObject({
    outcome: 'refused',
    message: `nothing is parked here: what is left has workflows of its own, and is not parked there either: ${workflowOf(events[0] ?? '')}`,
  });
});
