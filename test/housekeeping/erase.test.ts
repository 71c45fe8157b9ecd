/** Erasing: nothing personal remains in any table, nothing is sent without its text, and what waits for it ends. */
import type { Client } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { commitMessage, enqueue, prepareMessage } from '../../src/index.ts';
import { eraseEvents } from '../../src/storage/erase.ts';
import { keepUnsettled } from '../../src/storage/housekeeping.ts';
import { prepareRevision } from '../../src/storage/resolutions.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  temporalClient,
  type TestDatabase,
} from '../support/index.ts';
import { expectClean, json, jsonError } from '../cli/commands.ts';
import { databaseWith, session } from '../storage/fixtures.ts';
import { databaseWithProducer } from '../halfMessages/support.ts';
import { openStage } from '../resolve/stage.ts';
import { idOf, makeOldDays, passOver, settle, writeOld } from './stage.ts';

const secret = 'Ada-Lovelace-0815';

/** Tables of the schema, partitions and views of others left out, in which the text stands. */
async function tablesWith(database: TestDatabase, text: string): Promise<string[]> {
  const tables = await database.rows<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'outbox'::regnamespace and relkind in ('r', 'p') order by 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const rows = await database.rows(
      `select 1 from outbox."${name}" t where t::text like '%' || $1 || '%' limit 1`,
      [text],
    );
    if (rows.length > 0) found.push(name);
  }
  return found;
}

async function ended(client: Client, workflowId: string): Promise<void> {
  await eventually(async () =>
    expect((await client.workflow.getHandle(workflowId).describe()).status.name).toBe('COMPLETED'),
  );
}

function erase(database: TestDatabase, ...args: string[]) {
  return runCli(['erase', ...args, '--json'], { databaseUrl: database.url });
}

test('of a parked, edited, refused event nothing personal remains; its dead letter is closed and its workflow ends', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: { status: 422, body: `${secret} is unknown` } });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  await startRun({ databaseUrl: database.url });
  const { id } = await enqueue(
    database.pool,
    {
      type: 'customer.created',
      key: secret,
      payload: { name: secret },
      headers: { 'x-customer': secret },
      subject: secret,
      dedupKey: `customer/${secret}`,
    },
    { ownTransaction: true },
  );
  const [letter] = await eventually(async () => {
    const open = await database.rows<{ id: string; workflow_id: string }>(
      'select * from outbox.dead_letters',
    );
    expect(open).toHaveLength(1);
    return open;
  });
  const edit = { eventId: id, destination: 'billing', headers: null, actor: null, reason: null };
  await prepareRevision(database.pool, { ...edit, payload: JSON.stringify({ name: `${secret}!` }) });
  expect(await tablesWith(database, secret)).toEqual(
    expect.arrayContaining(['attempts', 'event_dedup_keys', 'events', 'revisions']),
  );

  const answer = json(await erase(database, '--event', id, '--reason', 'request 42', '--actor', 'dpo'));
  expect(answer).toEqual({
    erased: [id],
    unknown: [],
    deliveries: [{ eventId: id, destination: 'billing', state: 'parked' }],
    messages: [],
  });
  expect(await tablesWith(database, secret)).toEqual([]);
  await ended(await temporalClient(), letter?.workflow_id ?? '');
  expect(
    await database.rows('select resolution, resolved_by, resolution_reason from outbox.dead_letters'),
  ).toEqual([{ resolution: 'erase', resolved_by: 'dpo', resolution_reason: 'request 42' }]);
  expect(await database.rows('select action, actor, event_id, reason, outcome from outbox.audit')).toEqual([
    { action: 'erase', actor: 'dpo', event_id: id, reason: 'request 42', outcome: 'done' },
  ]);
  expect(await database.rows('select 1 from outbox.batches')).toEqual([]);
  const sent = receiver.requests.length;
  expect(sent).toBe(1);

  // Its story goes on being told, without its text.
  const story = await runCli(['events', 'show', id], { databaseUrl: database.url });
  expectClean(story);
  expect(story.stdout).toContain('erased');
  expect(story.stdout).toMatch(/erase by dpo \(database user \w+\) via cli: done/);
  expect(story.stdout).not.toContain(secret);
  // Again is harmless.
  expect(json(await erase(database, '--event', id))).toMatchObject({ erased: [id], deliveries: [] });
});

test('what is still waiting is dropped, never sent empty; what is retrying ends', async () => {
  const { database, billing, client } = await openStage();
  const far = new Date(Date.now() + 3_600_000);
  const [scheduled] = await enqueue(database.pool, [{ type: 'a', payload: { n: 1 }, deliverAt: far }], {
    ownTransaction: true,
  });
  const [retrying] = await enqueue(database.pool, [{ type: 'a', payload: { answer: 500 } }], {
    ownTransaction: true,
  });
  const ids = [scheduled?.id ?? '', retrying?.id ?? ''];
  await eventually(async () => {
    const states = await database.rows<{ state: string }>(
      'select state from outbox.deliveries order by state',
    );
    expect(states).toEqual([{ state: 'retry' }, { state: 'scheduled' }]);
  });
  const workflowId = `${database.name}/deliver/billing/${ids[1]}`;
  await eventually(() => client.workflow.getHandle(workflowId).describe());
  const { deliveries } = json<{ deliveries: object[] }>(
    await erase(database, ...ids.flatMap((id) => ['--event', id])),
  );
  expect(deliveries).toHaveLength(2);
  await ended(client, workflowId);
  expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]);
  expect(billing.of(ids[0] ?? '')).toEqual([]);
  // Retries until then had their text.
  expect(new Set(billing.of(ids[1] ?? '').map(({ body }) => body.toString()))).toEqual(
    new Set(['{"answer": 500}']),
  );
});

test('even a delivery that comes back is not sent without its text: it is parked as missing', async () => {
  const { database, billing } = await openStage();
  const [event] = await enqueue(
    database.pool,
    [{ type: 'a', payload: { n: 1 }, deliverAt: new Date(Date.now() + 3_600_000) }],
    { ownTransaction: true },
  );
  await eraseEvents(database.pool, [event?.id ?? ''], { actor: 'test', reason: null });
  await database.pool.query(
    `insert into outbox.deliveries (event_id, destination, seq, state) values ($1, 'billing', nextval('outbox.delivery_seq'), 'pending')`,
    [event?.id],
  );
  await eventually(async () =>
    expect(await database.rows('select last_error_class from outbox.dead_letters')).toEqual([
      { last_error_class: 'event-missing' },
    ]),
  );
  expect(billing.requests).toEqual([]);
});

test('a workflow that nobody told is told by the next pass of housekeeping', async () => {
  const stage = await openStage();
  const { database, client } = stage;
  const { id, workflowId } = await stage.parkOne();
  // As if the command had died before it reached Temporal.
  await eraseEvents(database.pool, [id], { actor: 'test', reason: null });
  expect((await client.workflow.getHandle(workflowId).describe()).status.name).toBe('RUNNING');
  await client.schedule.getHandle(`${database.name}/housekeeping-schedule`).trigger();
  await ended(client, workflowId);
});

test('by key: says how many first, then erases each, those kept aside and those on their way out too', async () => {
  const database = await databaseWith({ billing: {} });
  for (const day of [8, 9]) await makeOldDays(database.pool, day);
  const ids = [idOf(0), idOf(8), idOf(9), idOf(1)];
  for (const id of ids)
    await enqueue(
      database.pool,
      { id, type: 'a', key: secret, payload: { name: secret } },
      { ownTransaction: true },
    );
  const [other = ''] = await writeOld(database.pool, 8, 1, { name: 'Grace' });
  await settle(database.pool, [ids[2] ?? '']);
  // The day of the second one is dropped, its event kept; that of the third is detached and not dropped yet.
  await database.pool.query(
    `alter table outbox.events detach partition outbox.events_${tagOf(ids[2] ?? '')}`,
  );
  await keepUnsettled(database.pool, `events_${tagOf(ids[1] ?? '')}`, 10);

  const asked = await erase(database, '--key', secret);
  expect(asked.code).toBe(2);
  expect(jsonError(asked).message).toBe('this would erase 4 events; nothing was done');
  const { erased } = json<{ erased: string[] }>(await erase(database, '--key', secret, '--yes'));
  expect([...erased].sort()).toEqual([...ids].sort());
  expect(await tablesWith(database, secret)).toEqual([]);
  await passOver(database);
  expect(await tablesWith(database, secret)).toEqual([]);
  expect(await database.rows('select payload from outbox.events_kept')).toEqual([
    { payload: { name: 'Grace' } },
  ]);
  expect(await database.rows('select event_id from outbox.deliveries')).toEqual([{ event_id: other }]);
});

function tagOf(id: string): string {
  return new Date(parseInt(id.replace('-', '').slice(0, 12), 16))
    .toISOString()
    .slice(0, 10)
    .replaceAll('-', '');
}

describe('of a half message', () => {
  const stage = async () => {
    const database = await databaseWithProducer();
    const prepare = () =>
      prepareMessage(database.pool, {
        ...{ producer: 'shop', type: 'customer.created', key: secret, subject: secret },
        ...{ payload: { name: secret }, headers: { 'x-customer': secret } },
      });
    return { database, prepare };
  };

  test('nothing personal remains: it is rolled back, and its late commit is refused', async () => {
    const { database, prepare } = await stage();
    const { id } = await prepare();
    const parked = await prepare();
    await database.pool.query(
      `update outbox.prepared_messages set state = 'parked', parked_at = now(), next_check_at = null, workflow_id = 'w', last_answer = $2 where id = $1`,
      [parked.id, secret],
    );
    const asked = await erase(database, '--key', secret);
    expect(jsonError(asked).message).toBe('this would erase 2 events; nothing was done');
    const answer = json<{ messages: string[] }>(
      await erase(database, '--key', secret, '--yes', '--reason', 'request 42', '--actor', 'dpo'),
    );
    expect([...answer.messages].sort()).toEqual([id, parked.id].sort());
    expect(answer).toMatchObject({ unknown: [], deliveries: [] });
    expect(await tablesWith(database, secret)).toEqual([]);
    await expect(commitMessage(database.pool, id)).rejects.toMatchObject({
      code: 'OUTBOX_MESSAGE_SETTLED',
      message: `half message ${id} was rolled back by erase before`,
    });
    expect(await database.rows('select 1 from outbox.events')).toEqual([]);
    const show = json<{ audit: object[] }>(
      await runCli(['messages', 'show', id, '--json'], { databaseUrl: database.url }),
    );
    expect(show).toMatchObject({ state: 'rolled-back', settledBy: 'erase' });
    expect(show.audit).toMatchObject([
      { actor: 'dpo', action: 'erase', outcome: 'done', reason: 'request 42' },
    ]);
    // Again is harmless, and so is the producer's repeat: nothing of it is stored.
    expect(json(await erase(database, '--event', id))).toMatchObject({ erased: [id], messages: [] });
    const again = { producer: 'shop', type: 'customer.created', payload: { name: secret }, id };
    expect(await prepareMessage(database.pool, again)).toMatchObject({
      state: 'rolled-back',
      inserted: false,
    });
    expect(await tablesWith(database, secret)).toEqual([]);
  });

  test('that was committed its event goes, under whichever id', async () => {
    const { database, prepare } = await stage();
    const [young, old] = [(await prepare()).id, idOf(3)];
    await database.pool.query('update outbox.prepared_messages set id = $2 where id = $1', [
      (await prepare()).id,
      old,
    ]);
    const [first, second] = await Promise.all([young, old].map((id) => commitMessage(database.pool, id)));
    expect(second?.eventId).not.toBe(old);
    const answer = json<{ erased: string[]; deliveries: object[] }>(
      await erase(database, '--event', young, '--event', old),
    );
    expect([...answer.erased].sort()).toEqual([young, old, second?.eventId].sort());
    expect(answer.deliveries).toMatchObject(
      [first, second].map(() => ({ destination: 'billing', state: 'pending' })),
    );
    expect(await tablesWith(database, secret)).toEqual([]);
  });
});

test('an erasure waits for a copy that began before it, so that the copy does not outlive it', async () => {
  const database = await databaseWith({ billing: {} });
  await makeOldDays(database.pool, 9);
  const id = idOf(9);
  await enqueue(database.pool, { id, type: 'a', payload: { name: secret } }, { ownTransaction: true });
  const copier = await session(database.url);
  await copier.query('begin');
  await copier.query(`select outbox.keep_unsettled('events_${tagOf(id)}', 10)`);
  let done = false;
  const erasing = eraseEvents(database.pool, [id], { actor: 'test', reason: null }).then(() => (done = true));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(done).toBe(false);
  await copier.query('commit');
  await erasing;
  expect(await tablesWith(database, secret)).toEqual([]);
});

test('wrong use is refused, and unknown events are said to be so', async () => {
  const database = await databaseWith({ billing: {} });
  const unknown = idOf(1);
  for (const args of [[], ['--event', unknown, '--key', 'k'], ['--event', 'me'], ['--key', '']]) {
    const refused = await erase(database, ...args);
    expect(refused.code).toBe(2);
    expectClean(refused);
  }
  const missing = await erase(database, '--event', unknown);
  expect(missing.code).toBe(1);
  expect(jsonError(missing)).toMatchObject({ code: 'OUTBOX_NOT_FOUND' });
  expect(json(await erase(database, '--key', 'nobody', '--yes'))).toEqual({
    erased: [],
    unknown: [],
    deliveries: [],
    messages: [],
  });
});

test('an operator may erase, the relay and producers may not', async () => {
  const database = await databaseWith({ billing: {} });
  const { id } = await enqueue(database.pool, { type: 'a', payload: {}, key: 'k' }, { ownTransaction: true });
  const person = await session(database.url);
  for (const role of ['outbox_relay', 'outbox_producer']) {
    await person.query(`set role ${role}`);
    for (const sql of [
      `select outbox.erase(array['${id}']::uuid[], 'a', 'cli', null)`,
      `select outbox.events_of_key('k')`,
    ])
      await expect(person.query(sql)).rejects.toMatchObject({ code: '42501' });
  }
  await person.query('set role outbox_operator');
  expect((await person.query(`select outbox.events_of_key('k') as id`)).rows).toEqual([{ id }]);
  expect((await eraseEvents(person, [id], { actor: 'a', reason: null })).erased).toEqual([id]);
});
