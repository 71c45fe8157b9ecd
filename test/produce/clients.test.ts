/** What `enqueue` takes for a client, and what it refuses. */
import { beforeAll, describe, expect, test } from 'vitest';
import { enqueue, isOutboxError, prepareMessage, type NewEvent, type SqlClient } from '../../src/index.ts';
import { driverErrorOf } from '../../src/storage/driverError.ts';
import type { TestDatabase } from '../support/index.ts';
import { databaseWith, session } from '../storage/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
});

const event: NewEvent = { type: 'a', payload: { n: 1 } };
const eventsOf = (type: string) => database.rows('select id from outbox.events where type = $1', [type]);

test('a pool is refused inside of somebody’s transaction, and nothing is written', async () => {
  const client = await session(database.url);
  await client.query('begin');
  await expect(enqueue(database.pool, { type: 'pooled', payload: 1 })).rejects.toMatchObject({
    code: 'OUTBOX_CLIENT_INVALID',
    message: 'the client is a pool of pg: the event would not be part of your transaction',
    hint: expect.stringContaining('{ ownTransaction: true }') as string,
  });
  await client.query('rollback');
  expect(await eventsOf('pooled')).toEqual([]);
});

test('a pool is refused for no events, too, and taken by who means it', async () => {
  await expect(enqueue(database.pool, [])).rejects.toMatchObject({ code: 'OUTBOX_CLIENT_INVALID' });
  await enqueue(database.pool, { type: 'alone', payload: 1 }, { ownTransaction: true });
  expect(await eventsOf('alone')).toHaveLength(1);
});

test('a client that answers the rows themselves is taken, for one event, for several, and for half messages', async () => {
  const bare: SqlClient = {
    query: async (text, values) => (await database.pool.query(text, values)).rows as unknown[],
  };
  expect((await enqueue(bare, event)).inserted).toBe(true);
  expect(await enqueue(bare, [event, event])).toHaveLength(2);
  await expect(prepareMessage(bare, { ...event, producer: 'nobody' })).rejects.toMatchObject({
    code: 'OUTBOX_PRODUCER_UNKNOWN',
  });
});

test.each<[string, unknown]>([
  ['no rows', { rows: [] }],
  ['an empty list', []],
  ['nothing', undefined],
  ['null', null],
  ['a count', { rowCount: 1 }],
  ['a list of two', [{}, {}]],
])('a client that answers %s is an error', async (_what, answer) => {
  const client = { query: () => Promise.resolve(answer) } as SqlClient;
  await expect(enqueue(client, event)).rejects.toMatchObject({ code: 'OUTBOX_CLIENT_INVALID' });
});

describe('a conflict has its code however the error is wrapped', () => {
  const wrappers: Record<string, (error: Error) => unknown> = {
    cause: (error) => new Error('Failed query: select', { cause: error }),
    'original and parent': (error) =>
      Object.assign(new Error(error.message), { original: error, parent: error }),
    driverError: (error) => Object.assign(new Error(error.message), { driverError: error }),
    'two layers': (error) => new Error('outer', { cause: new Error('inner', { cause: error }) }),
    'meta, a code of its own': (error) =>
      Object.assign(new Error('Raw query failed.'), {
        code: 'P2010',
        meta: { code: (error as { code?: string }).code, message: error.message },
      }),
    'meta of a driver adapter': (error) =>
      Object.assign(new Error('Raw query failed.'), {
        code: 'P2010',
        meta: {
          driverAdapterError: Object.assign(new Error('DatabaseError'), {
            cause: {
              kind: 'postgres',
              originalCode: (error as { code?: string }).code,
              originalMessage: error.message,
            },
          }),
        },
      }),
    'the statement in front': (error) => {
      error.message = `select id from x('it''s - a') order by ordinal /* outbox */ - ${error.message}`;
      return error;
    },
  };

  test.each(Object.entries(wrappers))('%s', async (_how, wrap) => {
    const wrapping: SqlClient = {
      query: (text, values) =>
        database.pool.query(text, values).catch((error: unknown) => {
          throw wrap(error as Error);
        }),
    };
    const { id } = await enqueue(wrapping, event);
    await expect(enqueue(wrapping, { ...event, id, type: 'other' })).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_CONFLICT',
      message: `event ${id} exists with other content`,
    });
    await expect(enqueue(wrapping, { type: 'a', payloadText: '1e200000' })).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_INVALID',
    });
  });

  test('one that wraps itself ends, and one without a code stays as it is', () => {
    const knot = new Error('knot');
    knot.cause = knot;
    expect(driverErrorOf(knot)).toBe(knot);
  });
});

test('a transaction that reads only, and a role that may not write, are told as what they are', async () => {
  const client = await session(database.url);
  await client.query('begin read only');
  await expect(enqueue(client, event)).rejects.toMatchObject({
    code: 'OUTBOX_POSTGRES_READ_ONLY',
    hint: expect.stringContaining('a transaction begun read only') as string,
  });
  await client.query('rollback; begin; create role nobody_here; set local role nobody_here');
  await expect(enqueue(client, event)).rejects.toMatchObject({
    code: 'OUTBOX_POSTGRES_DENIED',
    hint: expect.stringContaining('grant outbox_producer') as string,
  });
  await client.query('rollback');
});

test('an error of another copy of the package is one of ours', () => {
  class OutboxError extends Error {
    readonly code = 'OUTBOX_EVENT_CONFLICT';
    override name = 'OutboxError';
  }
  expect(isOutboxError(new OutboxError('x'))).toBe(true);
  expect(isOutboxError(Object.assign(new Error('x'), { name: 'OutboxError', code: 'OTHER' }))).toBe(false);
});

describe('the view for object mappers', () => {
  test('takes NULL where nothing is known, and answers every column, to a producer who may read no payload', async () => {
    const client = await session(database.url);
    await client.query('begin; set local role outbox_producer');
    const { rows } = await client.query<Record<string, unknown>>(
      `insert into outbox.outgoing_events (id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key)
       values (null, 'mapped', 'k', '{"n": 1}', null, null, null, null, null, null), (default, 'mapped', null, '2', '{"x": "y"}', null, null, null, null, null)
       returning *`,
    );
    expect(rows).toMatchObject([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        type: 'mapped',
        payload: { n: 1 },
        headers: {},
        content_type: 'application/json',
      },
      { payload: 2, headers: { x: 'y' } },
    ]);
    expect((await client.query('select * from outbox.outgoing_events')).rows).toEqual([]);
    await expect(client.query('select payload from outbox.events')).rejects.toMatchObject({ code: '42501' });
    await client.query('rollback');
    expect(await eventsOf('mapped')).toEqual([]);
  });

  test('routes what it takes, and refuses what the table refuses', async () => {
    const client = await session(database.url);
    const { rows } = await client.query<{ id: string }>(
      `insert into outbox.outgoing_events (type, payload) values ('routed.here', '1') returning id`,
    );
    expect(
      await database.rows('select 1 from outbox.deliveries where event_id = $1', [rows[0]?.id]),
    ).toHaveLength(1);
    await expect(
      client.query(`insert into outbox.outgoing_events (type, payload) values ('', '1')`),
    ).rejects.toMatchObject({
      code: '23514',
    });
  });
});
