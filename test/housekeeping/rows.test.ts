/** What is deleted row by row: only what is settled, resolved and old. */
import { expect, test } from 'vitest';
import { finishAttempt, recordFailures } from '../../src/storage/attempts.ts';
import { prepareRevision, resolve } from '../../src/storage/resolutions.ts';
import { enqueue } from '../../src/index.ts';
import { applyTestConfig } from '../support/index.ts';
import { claimedBatch, databaseWith, failure, openRun, rowsOfBatch, yamlOf } from '../storage/fixtures.ts';
import { dayTag, daysOf, idOf, makeOldDays, passOver, settle, writeOld } from './stage.ts';

/** Parks so many new events; answers their ids in order, and the workflow that holds all of them. */
async function parkedIn(database: Awaited<ReturnType<typeof databaseWith>>, count: number) {
  const { workflowId, events } = await claimedBatch(database.pool, count);
  const run = await openRun(database.pool, workflowId);
  const rows = await rowsOfBatch(database.pool, run.batchId);
  await recordFailures(
    database.pool,
    run,
    rows.map((row) => failure(row, { park: 'permanent' })),
  );
  await finishAttempt(database.pool, run, [], { maxSingles: 0, keep: true });
  return { events, workflowId };
}

test('resolved dead letters go after their time, open ones never', async () => {
  const database = await databaseWith({ billing: {} });
  const { events, workflowId } = await parkedIn(database, 3);
  await resolve(
    database.pool,
    workflowId,
    { action: 'discard', events: events.slice(0, 2), reason: 'x' },
    'signal',
  );
  await database.pool.query(`update outbox.dead_letters set parked_at = now() - interval '3 years'`);
  await database.pool.query(
    `update outbox.dead_letters set resolved_at = now() - interval '91 days' where event_id = $1`,
    [events[0]],
  );
  expect((await passOver(database)).deleted.deadLetters).toBe(1);
  expect(
    await database.rows('select event_id as id, resolution from outbox.dead_letters order by id'),
  ).toEqual(
    expect.arrayContaining([
      { id: events[1], resolution: 'discard' },
      { id: events[2], resolution: null },
    ]),
  );
});

test('several portions are one pass', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries, resolved_at, resolution)
     select outbox.uuid7(), 'a', 'billing', 'w', 1, 1, 'permanent', 1, 1, now() - interval '1 year', 'discard' from generate_series(1, 5000)`,
  );
  expect((await passOver(database)).deleted.deadLetters).toBe(5_000);
});

test('an edit’s text goes with its event’s, once the delivery is settled', async () => {
  const database = await databaseWith({ billing: {} });
  await makeOldDays(database.pool, 9);
  const [id = ''] = await writeOld(database.pool, 9, 1);
  const edit = {
    eventId: id,
    destination: 'billing',
    payload: '2',
    headers: null,
    actor: null,
    reason: null,
  };
  expect(await prepareRevision(database.pool, edit)).toBe(2);
  expect((await passOver(database)).deleted.revisions).toBe(0);
  await settle(database.pool, [id]);
  expect((await passOver(database)).deleted).toMatchObject({ revisions: 1, eventsKept: 1 });
});

test('audit lines, dedup keys, unrouted events and old configurations go, young ones stay', async () => {
  const database = await databaseWith({ billing: {} }, `[{ match: 'order.*', to: [billing] }]`);
  await database.pool.query(
    `insert into outbox.audit (at, via, action, outcome, message) values
       (now() - interval '366 days', 'cli', 'retry', 'done', 'old'), (now(), 'cli', 'retry', 'done', 'young')`,
  );
  await database.pool.query(`insert into outbox.event_dedup_keys values ('old', $1), ('young', $2)`, [
    idOf(92),
    idOf(5),
  ]);
  await database.pool.query(`insert into outbox.unrouted values ($1, 'old'), ($2, 'young')`, [
    idOf(9),
    idOf(5),
  ]);
  await applyTestConfig(database, yamlOf({ billing: {}, backup: {} }));
  await database.pool.query(`update outbox.config_revisions set applied_at = now() - interval '2 years'`);
  expect((await passOver(database)).deleted).toMatchObject({
    audit: 1,
    dedupKeys: 1,
    unrouted: 1,
    configRevisions: 1,
  });
  expect(await database.rows('select message from outbox.audit')).toEqual([{ message: 'young' }]);
  expect(await database.rows('select dedup_key from outbox.event_dedup_keys')).toEqual([
    { dedup_key: 'young' },
  ]);
  expect(await database.rows('select type from outbox.unrouted')).toEqual([{ type: 'young' }]);
  expect(await database.rows('select revision from outbox.config_revisions')).toEqual([{ revision: 2 }]);
});

test('a dedup key outlives its event’s day, and recognises a repeat then', async () => {
  const database = await databaseWith({ billing: {} });
  await makeOldDays(database.pool, 9);
  const event = { id: idOf(9), type: 'a', payload: { n: 1 }, dedupKey: 'once' };
  await enqueue(database.pool, event, { ownTransaction: true });
  await settle(database.pool, [event.id]);
  await passOver(database);
  expect(await daysOf(database, 'events')).not.toContain(`events_${dayTag(9)}`);
  const { id: _own, ...again } = event;
  expect(await enqueue(database.pool, again, { ownTransaction: true })).toEqual({
    id: event.id,
    inserted: false,
  });
  expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]);
});

test('config apply sets every retention, and what is not written has its default', async () => {
  const database = await databaseWith({ billing: {} });
  const read = () =>
    database.rows(
      `select what, (extract(epoch from keep) / 86400)::int as days from outbox.retention order by what`,
    );
  const days = (given: Record<string, number>) =>
    Object.entries({
      attempts: 7,
      audit: 365,
      deadLetters: 90,
      dedupKeys: 90,
      delivered: 7,
      events: 7,
      ...given,
    }).map(([what, each]) => ({ what, days: each }));
  expect(await read()).toEqual(expect.arrayContaining(days({})));
  await applyTestConfig(
    database,
    `${yamlOf({ billing: {} })}retention: { events: 3d, delivered: 0, attempts: 2d, deadLetters: 10d, audit: 20d, dedupKeys: 30d }\n`,
  );
  expect(await read()).toEqual(
    expect.arrayContaining(
      days({ events: 3, delivered: 0, attempts: 2, deadLetters: 10, audit: 20, dedupKeys: 30 }),
    ),
  );
  await applyTestConfig(database, yamlOf({ billing: {} }));
  expect(await read()).toEqual(expect.arrayContaining(days({})));
});

test('a row written by hand cannot set less than a day', async () => {
  const database = await databaseWith({ billing: {} });
  await expect(
    database.pool.query(`update outbox.retention set keep = interval '1 hour' where what = 'events'`),
  ).rejects.toMatchObject({ code: '23514' });
  await expect(
    database.pool.query(`update outbox.retention set keep = interval '0' where what = 'events'`),
  ).rejects.toMatchObject({ code: '23514' });
});
