import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { processOnce } from '../../src/inbox/index.ts';
import { eventually } from '../support/index.ts';
import { consumerDatabase, deferred, effect, uuid7, type ConsumerDatabase } from './fixtures.ts';

let database: ConsumerDatabase;
beforeAll(async () => {
  database = await consumerDatabase();
});

const countOf = async (message: string): Promise<number> =>
  (await database.effects()).filter((each) => each === message).length;

/** The whole of a consumer: begin, effect once, commit. */
async function consume(
  client: pg.PoolClient,
  messageId: string,
  options: {
    consumer?: string;
    isolation?: string;
    wait?: boolean | number;
    before?: () => Promise<unknown>;
  } = {},
) {
  const { consumer = 'billing', isolation = 'read committed', wait = true, before } = options;
  await client.query(`begin isolation level ${isolation}`);
  try {
    const done = await processOnce(client, { consumer, messageId, wait }, async () => {
      await effect(client, messageId);
      await before?.();
      return 'result';
    });
    await client.query('commit');
    return done;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

describe.each([
  ['a UUIDv7', () => uuid7()],
  ['an id of somebody else', () => `msg_${uuid7()}`],
  ['a UUIDv4', () => uuid7().replace(/^(.{14})7/, '$14')],
])('%s', (_, newId) => {
  test('is processed once: the second time says when it was', async () => {
    const id = newId();
    await database.session(async (client) => {
      const first = await consume(client, id);
      expect(first).toEqual({ outcome: 'processed', result: 'result', replaces: null });
      const second = await consume(client, id);
      expect(second).toMatchObject({ outcome: 'duplicate', before: { revision: 1, payloadHash: null } });
      const { appliedAt } = (second as { before: { appliedAt: Date } }).before;
      expect(Math.abs(appliedAt.getTime() - Date.now())).toBeLessThan(60_000);
    });
    expect(await countOf(id)).toBe(1);
  });

  test('is done once by each consumer', async () => {
    const id = newId();
    await database.session(async (client) => {
      for (const consumer of ['billing', 'shipping', 'billing']) await consume(client, id, { consumer });
    });
    expect(await countOf(id)).toBe(2);
  });

  test.each(['read committed', 'repeatable read', 'serializable'])(
    'is done once by twins at the same time, under %s',
    async (isolation) => {
      const id = newId();
      const twins = Array.from({ length: 8 }, () =>
        database.session(async (client) => {
          for (;;) {
            try {
              return (await consume(client, id, { isolation })).outcome;
            } catch (error) {
              // As after any serialization failure, the whole transaction is repeated.
              if ((error as { code?: string }).code !== '40001') throw error;
            }
          }
        }),
      );
      const outcomes = (await Promise.all(twins)).sort();
      expect(outcomes).toEqual([...Array<string>(7).fill('duplicate'), 'processed']);
      expect(await countOf(id)).toBe(1);
    },
  );

  test('rolled back, it was never processed', async () => {
    const id = newId();
    await database.session(async (client) => {
      await client.query('begin');
      await processOnce(client, { consumer: 'billing', messageId: id }, () => effect(client, id));
      await client.query('rollback');
      expect(await countOf(id)).toBe(0);
      expect((await consume(client, id)).outcome).toBe('processed');
    });
    expect(await countOf(id)).toBe(1);
  });

  test('of a connection that dies between effect and commit, it is processed by the next', async () => {
    const id = newId();
    const client = await database.pool.connect();
    client.on('error', () => undefined);
    await client.query('begin');
    await processOnce(client, { consumer: 'billing', messageId: id }, () => effect(client, id));
    const [{ pid } = { pid: 0 }] = (await client.query<{ pid: number }>('select pg_backend_pid() as pid'))
      .rows;
    await database.pool.query('select pg_terminate_backend($1)', [pid]);
    await expect(client.query('commit')).rejects.toThrow();
    client.release(true);
    expect(await countOf(id)).toBe(0);
    expect(await database.session((other) => consume(other, id))).toMatchObject({ outcome: 'processed' });
    expect(await countOf(id)).toBe(1);
  });
});

/** A transaction that has claimed the message and goes on when told. */
async function holder(messageId: string) {
  const claimed = deferred<void>();
  const end = deferred<boolean>();
  const ended = database.session(async (client) => {
    await client.query('begin');
    await processOnce(client, { consumer: 'billing', messageId }, async () => {
      await effect(client, messageId);
      claimed.resolve(undefined);
    });
    await client.query((await end.promise) ? 'commit' : 'rollback');
  });
  await claimed.promise;
  return async (commit: boolean) => {
    end.resolve(commit);
    await ended;
  };
}

test('a twin that does not wait is told at once, and its transaction can be used on', async () => {
  const id = uuid7();
  const end = await holder(id);
  await database.session(async (client) => {
    await client.query('begin');
    await client.query(`set local lock_timeout = '7s'`);
    for (const wait of [false, 0, 50]) {
      const twin = processOnce(client, { consumer: 'billing', messageId: id, wait }, () =>
        effect(client, id),
      );
      await expect(twin).rejects.toMatchObject({ code: 'OUTBOX_INBOX_IN_PROGRESS' });
    }
    const { rows } = await client.query<{ lock_timeout: string }>('show lock_timeout');
    expect(rows[0]?.lock_timeout).toBe('7s');
    const other = uuid7();
    await processOnce(client, { consumer: 'billing', messageId: other, wait: false }, () =>
      effect(client, other),
    );
    await client.query('commit');
    expect(await countOf(other)).toBe(1);
  });
  await end(true);
  expect(await countOf(id)).toBe(1);
});

test.each([
  ['commits', true, 'duplicate'],
  ['rolls back', false, 'processed'],
])('a twin that waits has its answer when the first %s', async (_, commit, outcome) => {
  const id = uuid7();
  const end = await holder(id);
  const twin = database.session((client) => consume(client, id));
  await eventually(async () => {
    const waiting = await database.rows(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%claim%'`,
    );
    expect(waiting).toHaveLength(1);
  });
  await end(commit);
  expect(await twin).toMatchObject({ outcome });
  expect(await countOf(id)).toBe(1);
});

test('a handler that throws leaves no mark, not even when its exception is swallowed and committed', async () => {
  const id = uuid7();
  await database.session(async (client) => {
    await client.query('begin');
    const failing = processOnce(client, { consumer: 'billing', messageId: id }, async () => {
      await effect(client, id);
      throw new Error('no such account');
    });
    await expect(failing).rejects.toThrow('no such account');
    const { command } = await client.query('commit');
    expect(command).toBe('ROLLBACK');
    expect(await countOf(id)).toBe(0);
    // In a savepoint of one's own, only this message is undone.
    await client.query('begin');
    await client.query('savepoint one');
    const again = processOnce(client, { consumer: 'billing', messageId: id }, () => {
      throw new Error('still not');
    });
    await expect(again).rejects.toThrow('still not');
    await client.query('rollback to savepoint one');
    expect(
      await processOnce(client, { consumer: 'billing', messageId: id }, () => effect(client, id)),
    ).toMatchObject({ outcome: 'processed' });
    await client.query('commit');
  });
  expect(await countOf(id)).toBe(1);
});

test('a handler that swallows an error of PostgreSQL, or ends the transaction, has not done its work', async () => {
  const id = uuid7();
  await database.session(async (client) => {
    await client.query('begin');
    const swallowing = processOnce(client, { consumer: 'billing', messageId: id }, () =>
      client.query('select 1 / 0').catch(() => 'never mind'),
    );
    await expect(swallowing).rejects.toMatchObject({
      code: 'OUTBOX_INBOX_NO_TRANSACTION',
      message: expect.stringContaining('swallowed') as string,
    });
    await client.query('rollback');
    await client.query('begin');
    const ending = processOnce(client, { consumer: 'billing', messageId: id }, () =>
      client.query('rollback'),
    );
    await expect(ending).rejects.toMatchObject({
      code: 'OUTBOX_INBOX_NO_TRANSACTION',
      message: expect.stringContaining('ended') as string,
    });
    expect((await consume(client, id)).outcome).toBe('processed');
  });
});

describe('outside of a transaction', () => {
  const bare = (query: pg.Pool['query']) => ({
    query: (text: string, values: unknown[]) => query(text, values) as Promise<{ rows: unknown[] }>,
  });

  test.each([
    ['a pool', () => database.pool],
    [
      'an adapter that knows nothing of transactions',
      () => bare(database.pool.query.bind(database.pool) as never),
    ],
  ])('%s is refused before anything is written', async (_, client) => {
    const id = uuid7();
    let called = false;
    const refused = processOnce(client(), { consumer: 'billing', messageId: id }, () => void (called = true));
    await expect(refused).rejects.toMatchObject({ code: 'OUTBOX_INBOX_NO_TRANSACTION' });
    expect(called).toBe(false);
    expect(await database.session((each) => consume(each, id))).toMatchObject({ outcome: 'processed' });
  });

  test('a client before begin, and one after commit, is refused', async () => {
    await database.session(async (client) => {
      const once = () => processOnce(client, { consumer: 'billing', messageId: uuid7() }, () => 1);
      await expect(once()).rejects.toMatchObject({ code: 'OUTBOX_INBOX_NO_TRANSACTION' });
      await client.query('begin');
      expect(await once()).toMatchObject({ outcome: 'processed' });
      await client.query('commit');
      await expect(once()).rejects.toMatchObject({ code: 'OUTBOX_INBOX_NO_TRANSACTION' });
    });
  });

  test('an adapter in a transaction is taken', async () => {
    await database.session(async (client) => {
      const adapter = bare(client.query.bind(client));
      await client.query('begin');
      const id = uuid7();
      const once = () =>
        processOnce(adapter, { consumer: 'billing', messageId: id }, () => effect(client, id));
      expect(await once()).toMatchObject({ outcome: 'processed' });
      // Twice in one transaction is twice, too.
      expect(await once()).toMatchObject({ outcome: 'duplicate' });
      await client.query('commit');
      expect(await countOf(id)).toBe(1);
    });
  });
});

test.each([
  ['an empty consumer', { consumer: '' }],
  ['a consumer of 256 bytes', { consumer: 'é'.repeat(128) }],
  ['no message id', { messageId: undefined }],
  ['an empty message id', { messageId: '' }],
  ['a message id with NUL', { messageId: 'a\0b' }],
  ['a message id with a line feed', { messageId: 'a\nb' }],
  ['half an emoji', { messageId: '\ud83d' }],
  ['a number', { messageId: 7 }],
  ['a revision of 0', { revision: 0 }],
  ['a revision of 1.5', { revision: 1.5 }],
  ['a revision beyond what is counted', { revision: 2 ** 31 }],
  ['an empty hash', { payloadHash: '' }],
  ['a wait of -1', { wait: -1 }],
  ['a policy that does not exist', { onRevision: 'aply' }],
  ['a wait that is a word', { wait: 'long' }],
  ['an id of the year 2100', { messageId: uuid7(Date.UTC(2100, 0)) }],
])('%s is refused, and the transaction can be used on', async (_, wrong) => {
  await database.session(async (client) => {
    await client.query('begin');
    const options = { consumer: 'billing', messageId: uuid7(), ...wrong } as Parameters<
      typeof processOnce
    >[1];
    await expect(processOnce(client, options, () => 1)).rejects.toMatchObject({
      code: 'OUTBOX_INBOX_INVALID',
    });
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });
});

test('without an inbox the error says what to run', async () => {
  await database.session(async (client) => {
    await client.query('begin');
    await client.query('drop schema outbox_inbox cascade');
    const lost = processOnce(client, { consumer: 'billing', messageId: uuid7() }, () => 1);
    await expect(lost).rejects.toMatchObject({
      code: 'OUTBOX_SCHEMA_MISSING',
      hint: 'Run: temporal-outbox inbox migrate',
    });
  });
});
