import { expect, test } from 'vitest';
import { summarize } from '../../src/storage/attempts.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import type { ParsedCommand } from '../../src/core/command.ts';
import { prepareRevision, resolve } from '../../src/storage/resolutions.ts';
import type { TestDatabase } from '../support/index.ts';
import { claim, databaseWith, openRun, park, parked, rowsOfBatch, soleRelay } from './fixtures.ts';

const send = (db: Queryable, workflowId: string, command: ParsedCommand) =>
  resolve(db, workflowId, command, 'signal');

async function sentNow({ rows }: TestDatabase, event: string, destination = 'billing') {
  const [row] = await rows<{ payload: string; headers: string }>(
    'select payload::text, headers::text from outbox.sent_now($1, $2)',
    [event, destination],
  );
  return row;
}

test('retry starts the policy afresh under the same revision', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId, events } = await parked(pool, 1);
  expect(await send(pool, workflowId, { action: 'retry', actor: 'ada', reason: 'fixed' })).toEqual({
    outcome: 'done',
    message: `event ${events[0]} sent again`,
    events: 1,
  });
  expect(await rowsOfBatch(pool, batchId)).toMatchObject([
    { state: 'retry', attempts: 0, tries: 1, unreachable: 0, revision: 1 },
  ]);
  expect(await rows('select first_attempt_at, due_at <= now() as due from outbox.deliveries')).toEqual([
    { first_attempt_at: null, due: true },
  ]);
  expect(
    await rows(
      'select resolution, resolved_by, resolution_reason, resolved_at is not null as at from outbox.dead_letters',
    ),
  ).toEqual([{ resolution: 'retry', resolved_by: 'ada', resolution_reason: 'fixed', at: true }]);
  expect(
    await rows('select actor, via, action, event_id, destination, events, outcome, reason from outbox.audit'),
  ).toEqual([
    {
      actor: 'ada',
      via: 'signal',
      action: 'retry',
      event_id: events[0],
      destination: 'billing',
      events: 1,
      outcome: 'done',
      reason: 'fixed',
    },
  ]);
});

test('retry without ids takes all that is parked, with ids those alone', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId, batchId, events } = await parked(pool, 4);
  expect(await send(pool, workflowId, { action: 'retry', events: [events[2] ?? ''] })).toMatchObject({
    outcome: 'done',
    events: 1,
  });
  expect((await rowsOfBatch(pool, batchId)).map(({ state }) => state)).toEqual([
    'parked',
    'parked',
    'retry',
    'parked',
  ]);
  expect(await send(pool, workflowId, { action: 'retry' })).toMatchObject({ outcome: 'done', events: 3 });
});

test('an id typed in capitals is the same id', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId, events } = await parked(pool, 2);
  const command: ParsedCommand = { action: 'retry', events: [(events[0] ?? '').toUpperCase()] };
  expect(await send(pool, workflowId, command)).toMatchObject({ outcome: 'done', events: 1 });
});

test('a second park episode is a dead letter of its own, resolved on its own', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  await send(pool, workflowId, { action: 'retry' });
  await park(pool, workflowId);
  expect(await rows('select park_no, resolution from outbox.dead_letters order by id')).toEqual([
    { park_no: 1, resolution: 'retry' },
    { park_no: 2, resolution: null },
  ]);
  await send(pool, workflowId, { action: 'discard' });
  expect(await rows('select park_no, resolution from outbox.dead_letters order by id')).toEqual([
    { park_no: 1, resolution: 'retry' },
    { park_no: 2, resolution: 'discard' },
  ]);
});

test('a command acts once per park episode', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  const answers = await Promise.all([1, 2, 3].map(() => send(pool, workflowId, { action: 'retry' })));
  expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['done', 'refused', 'refused']);
  expect(await rows(`select 1 from outbox.audit where outcome = 'done'`)).toHaveLength(1);
});

test('a command that comes again under its id is answered with its first outcome', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  const command: ParsedCommand = { action: 'retry', commandId: 'c-1' };
  const [first, second] = [await send(pool, workflowId, command), await send(pool, workflowId, command)];
  expect(first).toMatchObject({ outcome: 'done', events: 1 });
  expect(second).toMatchObject({ outcome: 'done', events: 1, repeated: true });
  expect(second.message).toContain('was carried out before');
  // Even in the next episode, where it would have something to act on.
  await park(pool, workflowId);
  expect(await send(pool, workflowId, command)).toMatchObject({ outcome: 'done', repeated: true });
  expect(await rows('select park_no from outbox.dead_letters where resolved_at is null')).toEqual([
    { park_no: 2 },
  ]);
  expect(await rows('select 1 from outbox.audit')).toHaveLength(1);
});

test('the same command sent twice at once acts once', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  const command: ParsedCommand = { action: 'discard', commandId: 'c-2' };
  const answers = await Promise.all([send(pool, workflowId, command), send(pool, workflowId, command)]);
  expect(answers.map(({ outcome }) => outcome)).toContain('done');
  expect(await rows('select outcome from outbox.audit')).toEqual([{ outcome: 'done' }]);
});

test('edit keeps the original, and sends the new text under the next revision', async () => {
  const database = await databaseWith({ billing: {} });
  const { pool, rows } = database;
  const { workflowId, batchId, events } = await parked(pool, 1);
  const [event = ''] = events;
  expect(await send(pool, workflowId, { action: 'edit', payload: { n: 2 }, actor: 'ada' })).toMatchObject({
    outcome: 'done',
    message: `event ${event} revision 2 edited and sent under a new key`,
  });
  expect(await rows('select payload from outbox.events')).toEqual([{ payload: { n: 1 } }]);
  expect(await rowsOfBatch(pool, batchId)).toMatchObject([{ state: 'retry', revision: 2, attempts: 0 }]);
  const loaded = await rows('select revision, payload from outbox.load_rows($1, 0, 10, 10000)', [batchId]);
  expect(loaded).toEqual([{ revision: 2, payload: '{"n": 2}' }]);
  expect(await rows('select made_by from outbox.revisions')).toEqual([{ made_by: 'ada' }]);

  await park(pool, workflowId);
  await send(pool, workflowId, { action: 'edit', headers: { x: 'y' } });
  // What is not edited stays as it was last sent.
  expect(await sentNow(database, event)).toEqual({ payload: '{"n": 2}', headers: '{"x": "y"}' });
  expect(await rows('select revision from outbox.revisions order by 1')).toEqual([
    { revision: 2 },
    { revision: 3 },
  ]);
});

test('any JSON value can be the new payload, null too', async () => {
  const database = await databaseWith({ billing: {} });
  const { workflowId, events } = await parked(database.pool, 1);
  expect(await send(database.pool, workflowId, { action: 'edit', payload: null })).toMatchObject({
    outcome: 'done',
  });
  expect(await sentNow(database, events[0] ?? '')).toMatchObject({ payload: 'null' });
});

test('a prepared revision keeps every digit, and is applied once', async () => {
  const database = await databaseWith({ billing: {} });
  const { pool } = database;
  const { workflowId, events } = await parked(pool, 1);
  const [eventId = ''] = events;
  const payload = '{"n": 12345678901234567890}';
  const revision = await prepareRevision(pool, {
    eventId,
    destination: 'billing',
    payload,
    headers: null,
    actor: null,
    reason: null,
  });
  expect(revision).toBe(2);
  expect(await send(pool, workflowId, { action: 'edit', revision: 2 })).toMatchObject({ outcome: 'done' });
  expect(await sentNow(database, eventId)).toMatchObject({ payload });
  await park(pool, workflowId);
  expect(await send(pool, workflowId, { action: 'edit', revision: 2 })).toMatchObject({
    outcome: 'refused',
    message: 'revision 2 of this delivery does not exist or was applied before',
  });
});

test('revisions prepared at once are numbered apart', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { events } = await parked(pool, 1);
  const edit = {
    eventId: events[0] ?? '',
    destination: 'billing',
    payload: '1',
    headers: null,
    actor: null,
    reason: null,
  };
  const numbers = await Promise.all([1, 2, 3, 4].map(() => prepareRevision(pool, edit)));
  expect(numbers.sort()).toEqual([2, 3, 4, 5]);
});

test('there is nothing to prepare for a delivery that is none', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const edit = {
    eventId: '00000000-0000-7000-8000-000000000000',
    destination: 'billing',
    payload: '1',
    headers: null,
    actor: null,
    reason: null,
  };
  expect(await prepareRevision(pool, edit)).toBeUndefined();
});

test('redirect takes the delivery away and puts it at the tail of the other lane, as it was last sent', async () => {
  const database = await databaseWith({ billing: {}, backup: {} });
  const { pool, rows } = database;
  const { workflowId, events, relay } = await parked(pool, 1);
  const [event = ''] = events;
  await send(pool, workflowId, { action: 'edit', payload: { n: 9 } });
  await park(pool, workflowId);
  expect(await send(pool, workflowId, { action: 'redirect', to: 'backup' })).toMatchObject({
    outcome: 'done',
    message: `event ${event} redirected to backup`,
  });
  expect(
    await rows('select destination, state, tries, attempts, revision, park_no from outbox.deliveries'),
  ).toEqual([{ destination: 'backup', state: 'pending', tries: 0, attempts: 0, revision: 2, park_no: 0 }]);
  expect(await sentNow(database, event, 'backup')).toMatchObject({ payload: '{"n": 9}' });
  expect(await rows('select redirected_to from outbox.dead_letters where park_no = 2')).toEqual([
    { redirected_to: 'backup' },
  ]);
  expect(await rows('select 1 from outbox.batches')).toEqual([]);
  expect(await claim(pool, relay, ['backup'])).toHaveLength(1);
});

test('redirect is refused where the event is, was, or went', async () => {
  const { pool, rows } = await databaseWith(
    { billing: {}, pending: {}, delivered: {}, discarded: {} },
    `[{ match: '*', to: [billing, pending, delivered, discarded] }]`,
  );
  const { workflowId, relay } = await parked(pool, 1);
  await pool.query(`select outbox.hold_lanes($1, 'test', '1 min')`, [relay]);
  const [arrived, given] = await claim(pool, relay, ['delivered', 'discarded']);
  const opened = await openRun(pool, arrived?.workflowId ?? '');
  await pool.query('select outbox.finish_attempt($1, $2, 200, $3, true)', [
    opened.batchId,
    opened.run,
    (await rowsOfBatch(pool, opened.batchId)).map(({ seq }) => seq),
  ]);
  await park(pool, given?.workflowId ?? '');
  await send(pool, given?.workflowId ?? '', { action: 'discard' });

  for (const to of ['billing', 'pending', 'delivered', 'discarded']) {
    expect(await send(pool, workflowId, { action: 'redirect', to })).toMatchObject({
      outcome: 'refused',
      message: expect.stringMatching(new RegExp(`has, or had, a delivery to ${to} already`)) as string,
    });
  }
  expect(await rows(`select state from outbox.deliveries where destination = 'billing'`)).toEqual([
    { state: 'parked' },
  ]);
});

test('one event of many that cannot be redirected keeps all where they are', async () => {
  const { pool, rows } = await databaseWith({ billing: {}, backup: {} });
  const { workflowId, events } = await parked(pool, 3);
  await pool.query(
    `insert into outbox.delivered (event_id, destination, revision, tries) values ($1, 'backup', 1, 1)`,
    [events[2]],
  );
  expect(await send(pool, workflowId, { action: 'redirect', to: 'backup', all: true })).toMatchObject({
    outcome: 'refused',
    events: 0,
  });
  expect(await rows('select destination, state from outbox.deliveries')).toEqual(
    Array(3).fill({ destination: 'billing', state: 'parked' }),
  );
});

test('discard gives the delivery up, for the record', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, events, batchId } = await parked(pool, 2);
  expect(await send(pool, workflowId, { action: 'discard', events, reason: 'test orders' })).toMatchObject({
    outcome: 'done',
    message: '2 events discarded',
    events: 2,
  });
  expect(await rows('select 1 from outbox.deliveries')).toEqual([]);
  expect(await rows('select resolution, resolution_reason from outbox.dead_letters')).toEqual(
    Array(2).fill({ resolution: 'discard', resolution_reason: 'test orders' }),
  );
  expect(await summarize(pool, workflowId, batchId)).toMatchObject({ left: 0 });
  expect(await rows('select 1 from outbox.events')).toHaveLength(2);
});

test('what a command cannot mend is refused and everything stays parked', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  const big = 'x'.repeat(1_048_577);
  for (const edit of [{ payload: big }, { headers: { a: 1 } }, { headers: [] }]) {
    expect(await send(pool, workflowId, { action: 'edit', ...edit } as ParsedCommand)).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('do not fit') as string,
    });
  }
  expect(await rows('select state, revision from outbox.deliveries')).toEqual([
    { state: 'parked', revision: 1 },
  ]);
  expect(await rows('select 1 from outbox.revisions')).toEqual([]);
});

test('an event that is gone from the database cannot be edited, and can be discarded', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId, events } = await parked(pool, 1);
  await pool.query('delete from outbox.events');
  expect(await send(pool, workflowId, { action: 'edit', payload: 1 })).toMatchObject({
    outcome: 'refused',
    message: `event ${events[0]} is no longer in the database`,
  });
  expect(await send(pool, workflowId, { action: 'discard' })).toMatchObject({ outcome: 'done' });
});

test('1,000 parked deliveries are resolved by one command', async () => {
  const { pool } = await databaseWith({ billing: {}, backup: {} });
  const { workflowId } = await parked(pool, 1000);
  expect(await send(pool, workflowId, { action: 'redirect', to: 'backup', all: true })).toMatchObject({
    outcome: 'done',
    message: '1000 events redirected to backup',
  });
  expect((await claim(pool, await soleRelay(pool), ['backup'])).length).toBeLessThanOrEqual(1);
});

test('a command id acts once in its workflow, and swallows nothing of another’s', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const first = await parked(pool, 1);
  await pool.query(`update outbox.lanes set owner = null, lease_until = '-infinity'`);
  const second = await parked(pool, 1);
  const command: ParsedCommand = { action: 'retry', commandId: 'one id for all' };
  expect(await send(pool, first.workflowId, command)).toMatchObject({ outcome: 'done' });
  expect(await send(pool, second.workflowId, command)).toEqual({
    outcome: 'done',
    message: `event ${second.events[0]} sent again`,
    events: 1,
  });
  expect(await send(pool, first.workflowId, command)).toMatchObject({ outcome: 'done', repeated: true });
  expect(await rows('select workflow_id as id from outbox.audit order by audit.id')).toEqual([
    { id: first.workflowId },
    { id: second.workflowId },
  ]);
});

test('the audit tells whom PostgreSQL let in, whatever the sender calls itself', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  await send(pool, workflowId, { action: 'retry', actor: 'the pope' });
  expect(await rows('select actor, "session_user" as login from outbox.audit')).toEqual(
    await rows(`select 'the pope' as actor, session_user::text as login`),
  );
});
