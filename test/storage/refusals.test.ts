import { beforeAll, expect, test } from 'vitest';
import { recordFailures } from '../../src/storage/attempts.ts';
import type { ParsedCommand } from '../../src/core/command.ts';
import { resolve } from '../../src/storage/resolutions.ts';
import type { TestDatabase } from '../support/index.ts';
import { claimedBatch, databaseWith, failure, openRun, rowsOfBatch } from './fixtures.ts';

let database: TestDatabase;
let workflowId: string;
let ids: string[];
const foreign = '018f0000-0000-7000-8000-000000000001';

/** A workflow with two deliveries parked and one retrying. */
beforeAll(async () => {
  database = await databaseWith({ billing: {}, backup: {} });
  const batch = await claimedBatch(database.pool, 3);
  ({ workflowId, events: ids } = batch);
  const opened = await openRun(database.pool, workflowId);
  const rows = await rowsOfBatch(database.pool, batch.batchId);
  await recordFailures(
    database.pool,
    opened,
    rows.map((row, index) => failure(row, index < 2 ? { park: 'exhausted' } : {})),
  );
});

const all = true;
const refusals: [string, (event: string) => ParsedCommand, RegExp][] = [
  [
    'an unknown action',
    () => ({ action: 'explode' as 'retry' }),
    /^unknown action 'explode'; send retry, edit, redirect or discard/,
  ],
  [
    'input that was not understood',
    () => ({ action: 'retry', malformed: 'expected one JSON object' }),
    /^expected one JSON object/,
  ],
  [
    'an id of somebody else’s event',
    () => ({ action: 'retry', events: [foreign] }),
    /^not parked in this workflow: 018f/,
  ],
  [
    'one bad id among good ones',
    (event) => ({ action: 'retry', events: [event, foreign] }),
    /^not parked in this workflow: 018f.*nothing was changed/,
  ],
  [
    'the id of a delivery that is retrying',
    () => ({ action: 'retry', events: [ids[2] ?? ''] }),
    /^not parked in this workflow/,
  ],
  ['no ids in a list', () => ({ action: 'retry', events: [] }), /^event names 0 ids; name 1 to 1000/],
  [
    'more than 1,000 ids',
    () => ({ action: 'retry', events: Array<string>(1001).fill(foreign) }),
    /^event names 1001 ids/,
  ],
  [
    'edit of several, unnamed',
    () => ({ action: 'edit', payload: 1 }),
    /^2 deliveries are parked here; send \{"event"/,
  ],
  [
    'redirect of several, unnamed',
    () => ({ action: 'redirect', to: 'backup' }),
    /^2 deliveries are parked here/,
  ],
  [
    'discard of several, unnamed',
    () => ({ action: 'discard', reason: 'x' }),
    /^2 deliveries are parked here/,
  ],
  [
    'discard of several without a reason',
    () => ({ action: 'discard', all }),
    /^to discard more than one, say why/,
  ],
  [
    'discard of several for a blank reason',
    () => ({ action: 'discard', all, reason: '  ' }),
    /^to discard more than one, say why/,
  ],
  ['redirect to nowhere', () => ({ action: 'redirect', all }), /^say where to/],
  [
    'redirect to what is no destination',
    () => ({ action: 'redirect', all, to: 'narnia' }),
    /^there is no destination 'narnia'; there are: backup, billing/,
  ],
  [
    'redirect to where it is',
    () => ({ action: 'redirect', all, to: 'billing' }),
    /has, or had, a delivery to billing already/,
  ],
  ['edit of nothing', (event) => ({ action: 'edit', events: [event] }), /^say what to change/],
  [
    'one revision for several',
    () => ({ action: 'edit', all, revision: 2 }),
    /^a prepared revision belongs to one delivery/,
  ],
  [
    'a revision that was never prepared',
    (event) => ({ action: 'edit', events: [event], revision: 7 }),
    /^revision 7 of this delivery does not exist/,
  ],
  [
    'a revision and a payload at once',
    (event) => ({ action: 'edit', events: [event], revision: 2, payload: 1 }),
    /^send either a prepared revision or/,
  ],
];

test.each(refusals)('%s is refused, noted, and changes nothing', async (_what, commandOf, message) => {
  const state = () =>
    database.rows(
      'select event_id, destination, state, revision, park_no from outbox.deliveries order by seq',
    );
  const before = await state();
  const command = { ...commandOf(ids[0] ?? ''), actor: 'ada' };
  const answer = await resolve(database.pool, workflowId, command, 'update');
  expect(answer).toMatchObject({
    outcome: 'refused',
    events: 0,
    message: expect.stringMatching(message) as string,
  });
  expect(await state()).toEqual(before);
  expect(
    await database.rows(
      'select actor, via, action, outcome, message, events from outbox.audit order by id desc limit 1',
    ),
  ).toEqual([
    {
      actor: 'ada',
      via: 'update',
      action: command.action,
      outcome: 'refused',
      message: answer.message,
      events: 0,
    },
  ]);
  expect(await database.rows('select 1 from outbox.dead_letters where resolved_at is not null')).toEqual([]);
});

test('a workflow without anything parked says what it holds instead', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const batch = await claimedBatch(pool, 2);
  const retry = () => resolve(pool, batch.workflowId, { action: 'retry' }, 'signal');
  expect(await retry()).toMatchObject({ outcome: 'refused', message: 'nothing is parked here: 2 claimed' });
  const opened = await openRun(pool, batch.workflowId);
  const [first] = await rowsOfBatch(pool, batch.batchId);
  if (first !== undefined) await recordFailures(pool, opened, [failure(first)]);
  expect((await retry()).message).toMatch(
    /^nothing is parked here: (1 claimed, 1 retrying|1 retrying, 1 claimed)$/,
  );
  expect(await resolve(pool, 'deliver/none', { action: 'retry' }, 'signal')).toMatchObject({
    outcome: 'refused',
    message: 'nothing is parked here: all of it is settled',
  });
});

test('a refused command that comes again under its id is answered the same, and noted once', async () => {
  const command: ParsedCommand = { action: 'redirect', to: 'narnia', all, commandId: 'refused-1' };
  const first = await resolve(database.pool, workflowId, command, 'signal');
  expect(await resolve(database.pool, workflowId, command, 'signal')).toMatchObject({
    outcome: first.outcome,
    events: 0,
  });
  expect(await database.rows(`select 1 from outbox.audit where command_id = 'refused-1'`)).toHaveLength(1);
});

test('junk in actor and reason is cut, not refused', async () => {
  const command: ParsedCommand = {
    action: 'explode' as 'retry',
    actor: 'a'.repeat(5000),
    reason: 'r'.repeat(5000),
  };
  await resolve(database.pool, workflowId, command, 'signal');
  expect(
    await database.rows(
      'select length(actor) as actor, length(reason) as reason from outbox.audit order by id desc limit 1',
    ),
  ).toEqual([{ actor: 200, reason: 1000 }]);
});
