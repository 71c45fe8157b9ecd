/** Markers in a producer's own database: final answers, whatever comes late, on PostgreSQL and on MariaDB. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createPool } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { answerCheckBack, mysqlMarkers, postgresMarkers } from '../../src/index.ts';
import { uuid7 } from '../../src/halfMessages/message.ts';
import type { Markers } from '../../src/halfMessages/markers.ts';
import { connect } from '../../src/storage/connect.ts';
import { atEnd, createTestDatabase } from '../support/index.ts';
import { startMariadb } from '../support/mariadb.ts';

/** One statement of a local transaction, whichever database it runs on. */
type Run = (connection: unknown, sql: string) => Promise<unknown>;

interface Local {
  readonly markers: Markers<unknown>;
  /** A pool of its own: another process. */
  readonly others: Markers<unknown>;
  readonly run: Run;
  readonly count: () => Promise<number>;
  readonly clear: () => Promise<unknown>;
  /** Has the server end every connection but the asking one. */
  readonly cutOff: (connection: unknown) => Promise<void>;
}

const run: Run = (connection, sql) =>
  (connection as { query(sql: string, values: unknown[]): Promise<unknown> }).query(sql, []);

async function postgres(isolation?: string): Promise<Local> {
  const database = await createTestDatabase({ migrated: false });
  if (isolation !== undefined)
    await database.pool.query(
      `alter database "${database.name}" set default_transaction_isolation = '${isolation}'`,
    );
  const [pool, other] = [connect(database.url), connect(database.url)];
  for (const each of [pool, other]) atEnd(() => each.end());
  await pool.query('create table orders (id integer primary key)');
  return {
    markers: postgresMarkers(pool, { lockTimeoutMs: 300 }),
    others: postgresMarkers(other, { lockTimeoutMs: 300 }),
    run,
    count: async () =>
      Number((await pool.query<{ n: string }>('select count(*) as n from orders')).rows[0]?.n),
    clear: () => pool.query('delete from orders'),
    cutOff: async (connection) => {
      const { rows } = (await run(connection, 'select pg_backend_pid() as pid')) as {
        rows: { pid: number }[];
      };
      await other.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    },
  };
}

async function mariadb(): Promise<Local> {
  const { pool, url } = await startMariadb();
  const other = createPool(url);
  atEnd(() => other.end());
  await pool.query('create table orders (id integer primary key)');
  return {
    markers: mysqlMarkers(pool, { lockTimeoutMs: 1_000 }),
    others: mysqlMarkers(other, { lockTimeoutMs: 1_000 }),
    run,
    count: async () => {
      const [rows] = await pool.query('select count(*) as n from orders');
      return Number((rows as { n: number }[])[0]?.n);
    },
    clear: () => pool.query('delete from orders'),
    cutOff: async (connection) => {
      const [rows] = (await run(connection, 'select connection_id() as id')) as [{ id: number }[]];
      await other.query(`kill ${rows[0]?.id}`);
    },
  };
}

const insert = (n: number) => `insert into orders values (${n})`;

/** Each fact, on one database after another: a missing MariaDB skips its own test alone. */
const facts: Readonly<Record<string, (local: Local) => Promise<void>>> = {
  'a committed transaction is answered committed, again and again': async ({
    markers,
    others,
    run,
    count,
  }) => {
    const id = uuid7();
    const outcome = await markers.transaction(
      id,
      async (connection) => (await run(connection, insert(1)), 'done'),
    );
    expect(outcome).toEqual({ end: 'committed', value: 'done' });
    for (let n = 0; n < 3; n++) expect(await answerCheckBack(others, id)).toBe('committed');
    expect(await count()).toBe(1);
  },

  'one that threw is rolled back, and answered so': async ({ markers, others, run, count }) => {
    const [id, error] = [uuid7(), new Error('out of stock')];
    const outcome = await markers.transaction(id, async (connection) => {
      await run(connection, insert(1));
      throw error;
    });
    expect(outcome).toEqual({ end: 'rolled-back', error });
    expect(await answerCheckBack(others, id)).toBe('rolled-back');
    expect(await count()).toBe(0);
  },

  'once answered rolled back, a transaction that comes late fails and changes nothing': async (local) => {
    const { markers, others, run, count } = local;
    const id = uuid7();
    expect(await answerCheckBack(others, id)).toBe('rolled-back');
    const outcome = await markers.transaction(id, (connection) => run(connection, insert(1)));
    expect(outcome).toMatchObject({ end: 'rolled-back', error: { code: 'OUTBOX_MESSAGE_SETTLED' } });
    expect(await answerCheckBack(others, id)).toBe('rolled-back');
    expect(await count()).toBe(0);
  },

  'while the transaction is open the answer is unknown, soon, and not final': async ({
    markers,
    others,
    run,
  }) => {
    const id = uuid7();
    const outcome = await markers.transaction(id, async (connection) => {
      await run(connection, insert(1));
      const asked = performance.now();
      expect(await answerCheckBack(others, id)).toBe('unknown');
      expect(performance.now() - asked).toBeLessThan(20_000);
    });
    expect(outcome.end).toBe('committed');
    expect(await answerCheckBack(others, id)).toBe('committed');
  },

  'an answer that waits for the end of the transaction tells the end': async ({ markers, others, run }) => {
    const [yes, no] = [uuid7(), uuid7()];
    let answer: Promise<string> | undefined;
    await markers.transaction(yes, async (connection) => {
      await run(connection, insert(1));
      answer = answerCheckBack(others, yes);
      await sleep(100);
    });
    expect(await answer).toBe('committed');
    await markers.transaction(no, async () => {
      answer = answerCheckBack(others, no);
      await sleep(100);
      throw new Error('no');
    });
    expect(['rolled-back', 'unknown']).toContain(await answer);
    expect(await answerCheckBack(others, no)).toBe('rolled-back');
  },

  'many who ask at once get one answer': async ({ markers, others }) => {
    const id = uuid7();
    const answers = await Promise.all(
      [markers, others, markers, others, markers, others].map((each) => answerCheckBack(each, id)),
    );
    expect(answers).toContain('rolled-back');
    expect(answers).not.toContain('committed');
    expect(await answerCheckBack(others, id)).toBe('rolled-back');
  },

  'a connection that is cut in the middle ends rolled back': async ({
    markers,
    others,
    run,
    cutOff,
    count,
  }) => {
    const id = uuid7();
    const outcome = await markers.transaction(id, async (connection) => {
      await run(connection, insert(1));
      await cutOff(connection);
      await sleep(50);
      await run(connection, insert(2));
    });
    expect(outcome.end).not.toBe('committed');
    await expect.poll(() => answerCheckBack(others, id), { timeout: 10_000 }).toBe('rolled-back');
    expect(await count()).toBe(0);
  },

  'an error that was swallowed does not end as a commit without the data': async ({
    markers,
    others,
    run,
    count,
  }) => {
    const id = uuid7();
    const outcome = await markers.transaction(id, async (connection) => {
      await run(connection, insert(1));
      await run(connection, 'insert into no_such_table values (1)').catch(() => undefined);
    });
    // PostgreSQL rolls all of it back; MariaDB only the statement.
    expect(await answerCheckBack(others, id)).toBe(outcome.end);
    expect(await count()).toBe(outcome.end === 'committed' ? 1 : 0);
  },

  'forgotten markers are not taken for rolled back': async ({ markers, others }) => {
    const old = uuid7(Date.now() - 40 * 86_400_000);
    const young = uuid7();
    for (const id of [old, young]) await markers.transaction(id, async () => undefined);
    expect(await markers.forget()).toBe(1);
    expect(await answerCheckBack(others, old)).toBe('unknown');
    expect(await answerCheckBack(others, old)).toBe('unknown');
    expect(await answerCheckBack(others, young)).toBe('committed');
    expect(await markers.forget({ olderThanMs: 50 * 86_400_000 })).toBe(0);
    expect(await answerCheckBack(others, old)).toBe('unknown');
  },

  'an id that is none is refused': async ({ markers }) => {
    await expect(answerCheckBack(markers, "x' or true")).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_INVALID',
    });
  },
};

async function holds(local: Local, fact: (local: Local) => Promise<void>): Promise<void> {
  await local.markers.migrate();
  await local.markers.migrate();
  await fact(local);
}

describe.each(['read committed', 'repeatable read', 'serializable'])('PostgreSQL, %s:', (isolation) => {
  test.each(Object.keys(facts))('%s', async (name) => {
    await holds(await postgres(isolation), facts[name] as (local: Local) => Promise<void>);
  });
});

test('MariaDB: the same facts', async () => {
  const local = await mariadb();
  for (const [name, fact] of Object.entries(facts)) {
    await local.clear();
    await holds(local, fact).catch((error: unknown) => {
      throw new Error(`MariaDB: ${name}: ${(error as Error).message}`, { cause: error });
    });
  }
});
