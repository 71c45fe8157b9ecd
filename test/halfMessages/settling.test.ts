/** prepare, commit and rollback as a producer calls them, over SQL. */
import { beforeAll, describe, expect, test } from 'vitest';
import { commitMessage, prepareMessage, readMessage, rollbackMessage } from '../../src/index.ts';
import { uuid7, type HalfMessage } from '../../src/halfMessages/message.ts';
import { connect } from '../../src/storage/connect.ts';
import { forgetMessages } from '../../src/storage/messages.ts';
import { atEnd, type TestDatabase } from '../support/index.ts';
import { databaseWithProducer } from './support.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWithProducer();
});

const message = (more: object = {}): HalfMessage & { id: string } =>
  ({ producer: 'shop', type: 'order.paid', payload: { total: 1 }, ...more }) as HalfMessage & { id: string };

const eventsOf = (id: string) =>
  database.rows<{ payload: string; state: string }>(
    `select e.payload::text, d.state from outbox.events e join outbox.deliveries d on d.event_id = e.id where e.id = $1`,
    [id],
  );

test('a committed message is an event, with all it was prepared with', async () => {
  const given = {
    key: 'o-1',
    headers: { a: 'b' },
    source: 's',
    subject: 't',
    contentType: 'text/plain',
    deliverAt: new Date(Date.now() + 3_600_000),
  };
  const { payload: _, payloadBytes: _bytes, ...rest } = message(given);
  const { id, state, inserted } = await prepareMessage(database.pool, {
    ...rest,
    payloadText: '{"total": 12345678901234567890.10}',
  });
  expect({ state, inserted }).toEqual({ state: 'prepared', inserted: true });
  expect(await eventsOf(id)).toEqual([]);
  expect(await commitMessage(database.pool, id)).toEqual({
    id,
    state: 'committed',
    eventId: id,
    changed: true,
  });
  expect(await eventsOf(id)).toEqual([{ payload: '{"total": 12345678901234567890.10}', state: 'scheduled' }]);
  expect(
    await database.rows(
      `select type, key, headers, source, subject, content_type, deliver_at from outbox.events where id = $1`,
      [id],
    ),
  ).toEqual([
    {
      ...{ type: 'order.paid', key: 'o-1', headers: { a: 'b' }, source: 's', subject: 't' },
      ...{ content_type: 'text/plain', deliver_at: given.deliverAt },
    },
  ]);
});

test('a message rolled back is no event, and keeps no content', async () => {
  const { id } = await prepareMessage(database.pool, message());
  expect(await rollbackMessage(database.pool, id)).toEqual({
    id,
    state: 'rolled-back',
    eventId: null,
    changed: true,
  });
  expect(await eventsOf(id)).toEqual([]);
  expect(
    await database.rows('select payload, headers from outbox.prepared_messages where id = $1', [id]),
  ).toEqual([{ payload: null, headers: null }]);
});

test('repeats change nothing, before the end and after it', async () => {
  const given = message({ id: uuid7() });
  const { id } = await prepareMessage(database.pool, given);
  expect(await prepareMessage(database.pool, given)).toEqual({ id, state: 'prepared', inserted: false });
  await commitMessage(database.pool, id);
  expect(await commitMessage(database.pool, id)).toMatchObject({ state: 'committed', changed: false });
  expect(await prepareMessage(database.pool, given)).toEqual({ id, state: 'committed', inserted: false });
  expect(await eventsOf(id)).toHaveLength(1);

  const other = message({ id: uuid7() });
  await prepareMessage(database.pool, other);
  await rollbackMessage(database.pool, other.id ?? '');
  expect(await rollbackMessage(database.pool, other.id ?? '')).toMatchObject({ changed: false });
  expect(await prepareMessage(database.pool, other)).toMatchObject({ state: 'rolled-back', inserted: false });
});

test('a hundred commits of one message at once make one event', async () => {
  const pool = connect(database.url, { max: 20 });
  atEnd(() => pool.end());
  const { id } = await prepareMessage(pool, message());
  const all = await Promise.all(Array.from({ length: 100 }, () => commitMessage(pool, id)));
  expect(all.filter(({ changed }) => changed)).toHaveLength(1);
  expect(await eventsOf(id)).toHaveLength(1);
});

describe('calls made together', () => {
  /** A client that remembers what it was asked. */
  const counting = () => {
    const texts: string[] = [];
    const query = (text: string, values: unknown[]) => {
      texts.push(text);
      return database.pool.query(text, values);
    };
    return { client: { query }, texts };
  };
  const codeOf = (result: PromiseSettledResult<unknown>) =>
    result.status === 'rejected' ? (result.reason as { code: string }).code : result.value;

  test('share a statement', async () => {
    const { client, texts } = counting();
    const ids = (
      await Promise.all(Array.from({ length: 150 }, () => prepareMessage(client, message({ key: 'k' }))))
    ).map(({ id }) => id);
    expect(texts.length).toBeLessThanOrEqual(3);
    const settled = await Promise.all(
      ids.map((id, n) => (n % 2 === 0 ? commitMessage(client, id) : rollbackMessage(client, id))),
    );
    expect(texts.length).toBeLessThanOrEqual(5);
    expect(settled).toEqual(
      ids.map((id, n) =>
        n % 2 === 0
          ? { id, state: 'committed', eventId: id, changed: true }
          : { id, state: 'rolled-back', eventId: null, changed: true },
      ),
    );
    expect(
      await database.rows('select id from outbox.events where id = any ($1) order by id', [ids]),
    ).toHaveLength(75);
  });

  test('are answered each for itself', async () => {
    const { client } = counting();
    const [first, taken] = [message({ id: uuid7() }), message({ id: uuid7() })];
    await prepareMessage(client, taken);
    const prepared = await Promise.allSettled([
      prepareMessage(client, first),
      prepareMessage(client, first),
      prepareMessage(client, taken),
      prepareMessage(client, message({ ...taken, payload: { total: 2 } })),
      prepareMessage(client, message({ producer: 'market' })),
      prepareMessage(client, message({ id: uuid7(Date.now() - 7 * 86_400_000) })),
    ]);
    const open = { id: first.id, state: 'prepared' };
    expect(prepared.map(codeOf)).toEqual([
      ...[
        expect.objectContaining(open) as unknown,
        expect.objectContaining(open) as unknown,
        { id: taken.id, state: 'prepared', inserted: false },
      ],
      ...['OUTBOX_EVENT_CONFLICT', 'OUTBOX_PRODUCER_UNKNOWN', 'OUTBOX_EVENT_INVALID'],
    ]);
    await rollbackMessage(client, taken.id ?? '');
    const committed = await Promise.allSettled(
      [first.id, first.id, taken.id, uuid7()].map((id) => commitMessage(client, id ?? '')),
    );
    expect(committed.map(codeOf)).toEqual([
      ...[expect.objectContaining({ id: first.id, state: 'committed' }) as unknown],
      ...[expect.objectContaining({ id: first.id, state: 'committed' }) as unknown],
      ...['OUTBOX_MESSAGE_SETTLED', 'OUTBOX_NOT_FOUND'],
    ]);
    expect(await eventsOf(first.id ?? '')).toHaveLength(1);
  });

  test('of which one waits for a lock hold up no other', async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => (await prepareMessage(database.pool, message())).id),
    );
    const [locked = '', ...others] = ids;
    const holder = await database.pool.connect();
    await holder.query('begin');
    await holder.query('select outbox.commit_message($1)', [locked]);
    let isDone = false;
    const waiting = commitMessage(database.pool, locked).finally(() => (isDone = true));
    await Promise.all(others.map((id) => commitMessage(database.pool, id)));
    expect(isDone).toBe(false);
    await holder.query('rollback');
    holder.release();
    expect(await waiting).toMatchObject({ id: locked, changed: true });
    expect(await eventsOf(locked)).toHaveLength(1);
  });
});

test('what was decided first stands', async () => {
  const { id: committed } = await prepareMessage(database.pool, message());
  await commitMessage(database.pool, committed);
  await expect(rollbackMessage(database.pool, committed)).rejects.toMatchObject({
    code: 'OUTBOX_MESSAGE_SETTLED',
    message: `half message ${committed} was committed by producer before`,
  });
  const { id: rolledBack } = await prepareMessage(database.pool, message());
  await rollbackMessage(database.pool, rolledBack);
  await expect(commitMessage(database.pool, rolledBack)).rejects.toMatchObject({
    code: 'OUTBOX_MESSAGE_SETTLED',
  });
  expect(await eventsOf(rolledBack)).toEqual([]);
});

describe('refused, with nothing written:', () => {
  test('the same id with other content, prepared or settled', async () => {
    const { id } = await prepareMessage(database.pool, message());
    const other = message({ id, payload: { total: 2 } });
    await expect(prepareMessage(database.pool, other)).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_CONFLICT',
    });
    await commitMessage(database.pool, id);
    await expect(prepareMessage(database.pool, other)).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_CONFLICT',
    });
  });

  test.each([
    ['a producer that nobody configured', message({ producer: 'market' }), 'OUTBOX_PRODUCER_UNKNOWN'],
    ['no producer', message({ producer: undefined as never }), 'OUTBOX_EVENT_INVALID'],
    [
      'an id that is no UUIDv7',
      message({ id: '00000000-0000-4000-8000-000000000000' }),
      'OUTBOX_EVENT_INVALID',
    ],
    ['an id of last week', message({ id: uuid7(Date.now() - 7 * 86_400_000) }), 'OUTBOX_EVENT_INVALID'],
    ['an id of next week', message({ id: uuid7(Date.now() + 7 * 86_400_000) }), 'OUTBOX_EVENT_INVALID'],
    ['a payload that is not JSON', message({ payload: 1n }), 'OUTBOX_EVENT_INVALID'],
    [
      'a payload too large as PostgreSQL prints it',
      message({ payload: { a: 'x'.repeat(1_048_576 - 8) } }),
      'OUTBOX_EVENT_INVALID',
    ],
    ['a dedup key', message({ dedupKey: 'k' }), 'OUTBOX_EVENT_INVALID'],
  ])('%s', async (_, given, code) => {
    const before = await database.rows('select 1 from outbox.prepared_messages');
    await expect(prepareMessage(database.pool, given)).rejects.toMatchObject({ code });
    expect(await database.rows('select 1 from outbox.prepared_messages')).toHaveLength(before.length);
  });

  test('an id that was never prepared, or is none', async () => {
    await expect(commitMessage(database.pool, uuid7())).rejects.toMatchObject({ code: 'OUTBOX_NOT_FOUND' });
    await expect(readMessage(database.pool, uuid7())).rejects.toMatchObject({ code: 'OUTBOX_NOT_FOUND' });
    await expect(rollbackMessage(database.pool, "x' or true")).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_INVALID',
    });
  });

  test('an outbox that cannot be reached', async () => {
    const away = connect('postgresql://somebody:s3cr3t@127.0.0.1:9/orders');
    atEnd(() => away.end());
    await expect(prepareMessage(away, message())).rejects.toMatchObject({
      code: 'OUTBOX_POSTGRES_UNREACHABLE',
    });
  });
});

test('an event that somebody wrote under the id keeps the message open, and says so', async () => {
  const { id } = await prepareMessage(database.pool, message());
  await database.pool.query(`insert into outbox.events (id, type, payload) values ($1, 'other', '{}')`, [id]);
  await expect(commitMessage(database.pool, id)).rejects.toMatchObject({ code: 'OUTBOX_EVENT_CONFLICT' });
  expect(await readMessage(database.pool, id)).toMatchObject({ state: 'prepared' });
});

test('a message prepared so long ago that its day is gone is still delivered, under an id of today', async () => {
  const { id } = await prepareMessage(database.pool, message());
  const old = uuid7(Date.now() - 60 * 86_400_000);
  await database.pool.query('update outbox.prepared_messages set id = $2 where id = $1', [id, old]);
  const { eventId } = await commitMessage(database.pool, old);
  expect(eventId).not.toBe(old);
  expect(await eventsOf(eventId ?? '')).toHaveLength(1);
  expect(await commitMessage(database.pool, old)).toMatchObject({ eventId, changed: false });
  expect(await readMessage(database.pool, old)).toMatchObject({ state: 'committed', eventId });
});

test('settled messages are forgotten after their time, open ones never', async () => {
  const fresh = await databaseWithProducer();
  const { id: open } = await prepareMessage(fresh.pool, message());
  const { id: settled } = await prepareMessage(fresh.pool, message());
  await commitMessage(fresh.pool, settled);
  expect(await forgetMessages(fresh.pool, 3_600_000, 100)).toBe(0);
  expect(await forgetMessages(fresh.pool, 0, 100)).toBe(1);
  expect(await readMessage(fresh.pool, open)).toMatchObject({ state: 'prepared' });
  await expect(commitMessage(fresh.pool, settled)).rejects.toMatchObject({ code: 'OUTBOX_NOT_FOUND' });
});

test('a producer with open messages cannot be taken out of the configuration', async () => {
  const fresh = await databaseWithProducer();
  const { id } = await prepareMessage(fresh.pool, message());
  const without = JSON.stringify({ name: fresh.name, destinations: [], routes: [], producers: [] });
  const apply = () => fresh.pool.query(`select outbox.apply_config($1, '', $2, 'test')`, [without, id]);
  await expect(apply()).rejects.toMatchObject({
    code: 'OB002',
    message: 'producer shop still has open half messages',
  });
  await rollbackMessage(fresh.pool, id);
  await apply();
  await expect(prepareMessage(fresh.pool, message())).rejects.toMatchObject({
    code: 'OUTBOX_PRODUCER_UNKNOWN',
  });
});
