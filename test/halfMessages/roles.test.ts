/** Least privilege: who may do what with half messages. */
import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { commitMessage, prepareMessage, readMessage, rollbackMessage } from '../../src/index.ts';
import {
  claimMessages,
  countMessages,
  dropMessageBatch,
  finishChecks,
  forgetMessages,
  listMessages,
  loadDueMessages,
  messageBatchesToCheck,
  openMessages,
  readMessageAudit,
  readMessageContent,
  readProducers,
  resolveMessages,
  settleChecks,
  takeNudges,
} from '../../src/storage/messages.ts';
import type { TestDatabase } from '../support/index.ts';
import { session } from '../storage/fixtures.ts';
import { databaseWithProducer } from './support.ts';

const forbidden = { code: '42501' };
const message = { producer: 'shop', type: 'order.paid', payload: { n: 1 } };

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWithProducer({ checkBack: "url: 'http://127.0.0.1:9/', grace: 1ms" });
});

async function as(role: string): Promise<pg.Client> {
  const client = await session(database.url);
  await client.query(`set role ${role}`);
  return client;
}

test('a producer prepares, settles and looks at messages', async () => {
  const producer = await as('outbox_producer');
  const { id } = await prepareMessage(producer, message);
  expect(await readMessage(producer, id)).toMatchObject({ state: 'prepared' });
  expect(await commitMessage(producer, id)).toMatchObject({ state: 'committed' });
  const other = await prepareMessage(producer, message);
  expect(await rollbackMessage(producer, other.id)).toMatchObject({ state: 'rolled-back' });
});

describe('a producer may not', () => {
  test.each([
    'select * from outbox.prepared_messages',
    'select payload from outbox.prepared_messages',
    `insert into outbox.prepared_messages (id, producer, type, payload, next_check_at) values (outbox.uuid7(), 'shop', 'a', '{}', now())`,
    `update outbox.prepared_messages set state = 'committed'`,
    'delete from outbox.prepared_messages',
    'select * from outbox.message_batches',
    'select * from outbox.producers',
    `update outbox.producers set grace = '1 day'`,
    `select outbox.decide_message(outbox.uuid7(), 'committed')`,
    `select outbox.decide_messages('{}', 'committed')`,
    `select outbox.settle_messages('{}', 'committed', 'me')`,
    `select outbox.resolve_messages(null, '{"action": "commit"}', 'me')`,
    `select outbox.settle_checks('x', 1, '[]')`,
    'select * from outbox.claim_messages(1)',
    `select outbox.forget_messages('1 s', 1)`,
  ])('%s', async (sql) => {
    await expect((await as('outbox_producer')).query(sql)).rejects.toMatchObject(forbidden);
  });
});

test('the relay’s role does all that relay and worker do, and writes no events itself', async () => {
  const relay = await as('outbox_relay');
  const ids = await Promise.all([1, 2, 3].map(async () => (await prepareMessage(database.pool, message)).id));
  expect((await readProducers(relay)).producers).toHaveLength(1);
  await expect
    .poll(async () => (await claimMessages(relay, 10)).reduce((sum, { size }) => sum + size, 0))
    .toBeGreaterThan(0);
  const [batch] = await messageBatchesToCheck(relay, 0, 10);
  const opened = await openMessages(relay, batch?.workflowId ?? '');
  const due = await loadDueMessages(relay, batch?.workflowId ?? '', 10);
  if (opened === undefined) throw new Error('nothing was opened');
  const answers = (['committed', 'rolled-back', 'unknown'] as const).slice(0, due.length);
  const checked = answers.map((answer, index) => ({
    id: due[index]?.id ?? '',
    checks: 0,
    answer,
    detail: null,
    delayMs: null,
  }));
  expect(await settleChecks(relay, opened, checked)).toBe(true);
  expect(await settleChecks(relay, { ...opened, run: opened.run - 1 }, checked)).toBe(false);
  await finishChecks(relay, opened.workflowId);
  await takeNudges(relay, 10);
  await dropMessageBatch(relay, 'none');
  expect(await forgetMessages(relay, 3_600_000, 10)).toBe(0);
  const command = { action: 'rollback', events: [ids[2]] };
  expect(await resolveMessages(relay, null, command, 'test')).toHaveProperty('outcome');
  await expect(
    relay.query(`insert into outbox.events (type, payload) values ('a', '{}')`),
  ).rejects.toMatchObject(forbidden);
});

test('an operator reads everything and settles through one function', async () => {
  const operator = await as('outbox_operator');
  const { id } = await prepareMessage(database.pool, message);
  expect(await countMessages(operator)).toMatchObject([{ producer: 'shop' }]);
  expect((await listMessages(operator, { status: 'open' }, null, 10)).map((each) => each.id)).toContain(id);
  expect(await readMessageContent(operator, id)).toMatchObject({ payloadText: '{"n": 1}' });
  const command = { action: 'commit', events: [id], actor: 'ada' };
  expect(await resolveMessages(operator, null, command, 'cli')).toMatchObject({ outcome: 'done' });
  await readMessageAudit(operator, id, 10);
  for (const sql of [
    `update outbox.prepared_messages set state = 'parked'`,
    'delete from outbox.prepared_messages',
    `select * from outbox.prepare_message('shop', 'a', '{}')`,
    `select * from outbox.prepare_messages('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')`,
    `select * from outbox.commit_messages('{}')`,
    `select outbox.settle_messages('{}', 'committed', 'me')`,
  ]) {
    await expect(operator.query(sql), sql).rejects.toMatchObject(forbidden);
  }
});

test('a second command with the same id does nothing', async () => {
  const { id } = await prepareMessage(database.pool, message);
  const command = { action: 'rollback', events: [id], commandId: `once-${id}` };
  expect(await resolveMessages(database.pool, null, command, 'cli')).toMatchObject({ outcome: 'done' });
  expect(await resolveMessages(database.pool, null, command, 'cli')).toMatchObject({
    outcome: 'done',
    repeated: true,
  });
});
