/** Order per key, in SQL: what a claim takes and leaves, what brings a key back, with no worker in between. */
import { expect, test } from 'vitest';
import { promoteDue, releaseBatch, type ClaimedBatch } from '../../src/storage/claims.ts';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { claim, failure, nowhere, openRun, rowsOfBatch, session, soleRelay } from './fixtures.ts';

function yamlWith(billing: string): string {
  return `
    destinations:
      billing: { type: http, url: '${nowhere}'${billing} }
      audit: { type: http, url: '${nowhere}', ordering: key }
    routes: [{ match: '*', to: [billing] }]`;
}

const keyed = ', ordering: key';

async function keyedDatabase(billing = keyed): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await applyTestConfig(database, yamlWith(billing));
  return database;
}

/** Writes one event a character, of that key; `-` for none. Answers their ids. */
async function write({ rows }: TestDatabase, keys: string): Promise<string[]> {
  const written = await rows<{ id: string }>(
    `insert into outbox.events (type, key, payload)
     select 'a', nullif(k, '-'), jsonb_build_object('n', n) from unnest(string_to_array($1, null)) with ordinality u(k, n) order by n
     returning id`,
    [keys],
  );
  return written.map(({ id }) => id);
}

/** The keys of a batch in order of seq. */
async function keysIn({ rows }: TestDatabase, batch: ClaimedBatch | undefined): Promise<string> {
  const [row] = await rows<{ keys: string | null }>(
    `select string_agg(coalesce(key, '-'), '' order by seq) as keys from outbox.deliveries where batch_id = $1`,
    [batch?.batchId],
  );
  return row?.keys ?? '';
}

/** State by state, the seqs of what is left: `{ pending: '1 4', blocked: '2' }`. */
async function left({ rows }: TestDatabase, destination = 'billing'): Promise<Record<string, string>> {
  const states = await rows<{ state: string; seqs: string }>(
    `select state, string_agg(seq::text, ' ' order by seq) as seqs from outbox.deliveries where destination = $1 group by state`,
    [destination],
  );
  return Object.fromEntries(states.map(({ state, seqs }) => [state, seqs]));
}

async function acknowledge(
  { pool }: TestDatabase,
  batch: ClaimedBatch | undefined,
  ...seqs: number[]
): Promise<void> {
  const { batchId, run } = await openRun(pool, batch?.workflowId ?? '');
  const { rows } = await pool.query('select outbox.finish_attempt($1, $2, 200, $3::bigint[]) as summary', [
    batchId,
    run,
    seqs,
  ]);
  expect(rows).not.toEqual([{ summary: null }]);
}

async function fail(
  { pool }: TestDatabase,
  batch: ClaimedBatch | undefined,
  seq: number,
  park: string | null = null,
): Promise<void> {
  const { batchId, run } = await openRun(pool, batch?.workflowId ?? '');
  const row = (await rowsOfBatch(pool, batchId)).find((each) => each.seq === String(seq));
  if (row === undefined) throw new Error(`no row ${seq} in the batch`);
  const rows = JSON.stringify([failure(row, { park })]);
  await pool.query('select outbox.record_failures($1, $2, $3)', [batchId, run, rows]);
  await pool.query('select outbox.finish_attempt($1, $2, 200)', [batchId, run]);
}

async function resolve(
  { pool, rows }: TestDatabase,
  seq: number,
  command: object,
): Promise<{ outcome: string }> {
  const [holder] = await rows<{ id: string }>(
    `select b.workflow_id as id from outbox.batches b join outbox.deliveries d on d.batch_id = b.id where d.seq = $1`,
    [seq],
  );
  const answer = await pool.query<{ resolve: { outcome: string } }>(`select outbox.resolve($1, $2, 'test')`, [
    holder?.id,
    JSON.stringify(command),
  ]);
  return answer.rows[0]?.resolve ?? { outcome: 'none' };
}

test('a batch takes a key’s rows together, and nobody else takes the rest meanwhile', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aab');
  const [first] = await claim(database.pool, relay);
  expect(await keysIn(database, first)).toBe('aab');
  await write(database, 'abc-');
  const [second] = await claim(database.pool, relay);
  expect(await keysIn(database, second)).toBe('c-');
  expect(await left(database)).toEqual({ claimed: '1 2 3 6 7', blocked: '4 5' });
  await acknowledge(database, first, 1, 3);
  expect(await left(database)).toEqual({ claimed: '2 6 7', blocked: '4', pending: '5' });
  await acknowledge(database, first, 2);
  expect(await left(database)).toEqual({ claimed: '6 7', pending: '4 5' });
});

test('keys share a batch breadth first, and what does not fit waits behind', async () => {
  const database = await keyedDatabase(`${keyed}, batch: { maximum: 4 }`);
  const relay = await soleRelay(database.pool);
  await write(database, 'aaaaaabbc');
  const [first] = await claim(database.pool, relay);
  expect(await keysIn(database, first)).toBe('aabc');
  expect(await left(database)).toEqual({ claimed: '1 2 7 9', blocked: '3 4 5 6 8' });
  await acknowledge(database, first, 1, 2, 7, 9);
  // The first of each key only: the others follow it into the batch.
  expect(await left(database)).toEqual({ pending: '3 8', blocked: '4 5 6' });
  const [second] = await claim(database.pool, relay);
  expect(await keysIn(database, second)).toBe('aaab');
});

test('no more than a hundred rows of one key go into a batch', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'a'.repeat(250));
  expect((await claim(database.pool, relay)).map(({ size }) => size)).toEqual([100]);
  expect(await claim(database.pool, relay)).toEqual([]);
});

test('a failing row keeps its key: what stood behind it goes back uncharged, other keys go on', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aaab');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1);
  expect(await left(database)).toEqual({ retry: '1', blocked: '2 3', claimed: '4' });
  expect(await database.rows('select open from outbox.batches')).toEqual([{ open: 1 }]);
  expect(await database.rows('select distinct tries, attempts from outbox.deliveries where seq > 1')).toEqual(
    [{ tries: 0, attempts: 0 }],
  );
  expect(await claim(database.pool, relay)).toEqual([]);
  await acknowledge(database, batch, 1, 4);
  expect(await left(database)).toEqual({ pending: '2', blocked: '3' });
});

test('a failure in the middle of a key keeps what came before it settled', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aaaa');
  const [batch] = await claim(database.pool, relay);
  await acknowledge(database, batch, 1);
  await fail(database, batch, 2);
  expect(await left(database)).toEqual({ retry: '2', blocked: '3 4' });
});

test('a parked head holds its key up by default', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aab');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1, 'permanent');
  await write(database, 'a');
  expect(await claim(database.pool, relay)).toEqual([]);
  expect(await left(database)).toEqual({ parked: '1', claimed: '3', blocked: '2 4' });
});

test('with onPark: skip a parked head lets its key pass', async () => {
  const database = await keyedDatabase(`${keyed}, onPark: skip`);
  const relay = await soleRelay(database.pool);
  await write(database, 'aaa');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1, 'permanent');
  expect(await left(database)).toEqual({ parked: '1', pending: '2', blocked: '3' });
  const [next] = await claim(database.pool, relay);
  expect(await keysIn(database, next)).toBe('aa');
  // Sent again it takes no turn, and takes nobody's.
  expect(await resolve(database, 1, { action: 'retry' })).toMatchObject({ outcome: 'done' });
  expect(await left(database)).toEqual({ retry: '1', claimed: '2 3' });
});

test.each([
  ['discard', { action: 'discard' }, { pending: '2', blocked: '3' }],
  ['redirect', { action: 'redirect', to: 'audit' }, { pending: '2', blocked: '3' }],
  ['retry', { action: 'retry' }, { retry: '1', blocked: '2 3' }],
  ['edit', { action: 'edit', payload: { n: 7 } }, { retry: '1', blocked: '2 3' }],
])('a parked head, %s: its key goes on when it is out of the way', async (_what, command, expected) => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aaa');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1, 'permanent');
  expect(await resolve(database, 1, command)).toMatchObject({ outcome: 'done' });
  expect(await left(database)).toEqual(expected);
  if (command.action !== 'redirect') return;
  // At the tail of its key there.
  expect(
    await database.rows(`select key, seq::int from outbox.deliveries where destination = 'audit'`),
  ).toEqual([{ key: 'a', seq: 4 }]);
});

test('an erased head lets its key go on', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  const [head] = await write(database, 'aaa');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1, 'permanent');
  await database.pool.query(`select outbox.erase($1, 'me', 'test', 'asked to')`, [[head]]);
  expect(await left(database)).toEqual({ pending: '2', blocked: '3' });
});

test('a claim that goes back, and one of a batch that is terminated, keep the order', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aab');
  const [first] = await claim(database.pool, relay);
  if (first !== undefined) await releaseBatch(database.pool, first);
  const [second] = await claim(database.pool, relay);
  expect(await keysIn(database, second)).toBe('aab');
  await database.pool.query(`select outbox.park_batch($1, 'terminated')`, [second?.workflowId]);
  // Only the head is parked: what is behind it waits for it.
  expect(await left(database)).toEqual({ parked: '1 3', blocked: '2' });
});

test('a batch that kills its workers is broken up with one row of each key', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aaabbc-');
  const [batch] = await claim(database.pool, relay);
  const { batchId, run } = await openRun(database.pool, batch?.workflowId ?? '');
  await database.pool.query('select outbox.break_up($1, $2)', [batchId, run]);
  expect(await left(database)).toEqual({ claimed: '1 4 6 7', blocked: '2 3 5' });
  expect(await database.rows('select size from outbox.batches')).toEqual(Array(4).fill({ size: 1 }));
});

test('two claims at once never share a key', async () => {
  const database = await keyedDatabase(`${keyed}, batch: { maximum: 5, inFlight: 16 }`);
  const relay = await soleRelay(database.pool);
  await write(database, 'abcde'.repeat(20));
  await Promise.all(Array.from({ length: 12 }, () => claim(database.pool, relay)));
  const shared = await database.rows(
    `select key from outbox.deliveries where state = 'claimed' group by key having count(distinct batch_id) > 1`,
  );
  expect(shared).toEqual([]);
});

test('a key being settled just now is left as it is: no row is blocked that nobody would wake', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'a');
  const [batch] = await claim(database.pool, relay);
  const { batchId, run } = await openRun(database.pool, batch?.workflowId ?? '');
  const settling = await session(database.url);
  await settling.query('begin');
  await settling.query('select outbox.acknowledge($1, $2, array[1::bigint], true)', [batchId, run]);
  await write(database, 'a'); // after the acknowledgement looked for it
  expect(await claim(database.pool, relay)).toEqual([]);
  expect(await left(database)).toEqual({ claimed: '1', pending: '2' });
  await settling.query('commit');
  expect(await claim(database.pool, relay)).toHaveLength(1);
});

test('a settling that comes while a claim blocks the next row waits for it, and wakes that row', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'a');
  const [batch] = await claim(database.pool, relay);
  const { batchId, run } = await openRun(database.pool, batch?.workflowId ?? '');
  await write(database, 'a');
  const claiming = await session(database.url);
  await claiming.query('begin');
  await claiming.query(`select * from outbox.claim($1, '{billing}', '{0}', '1 s')`, [relay]);
  const settled = database.pool.query('select outbox.acknowledge($1, $2, array[1::bigint], true)', [
    batchId,
    run,
  ]);
  await claiming.query('select pg_sleep(0.2)');
  await claiming.query('commit');
  await settled;
  expect(await left(database)).toEqual({ pending: '2' });
});

test('producers, claims and acknowledgements at once strand no key and lose no order', async () => {
  const database = await keyedDatabase(`${keyed}, batch: { maximum: 20, inFlight: 16 }`);
  const { pool, rows } = database;
  const relay = await soleRelay(pool, 600_000);
  const keys = ['a', 'b', 'c', 'd'];
  const perProducer = 60;
  let writing = 4;
  const producers = Array.from({ length: writing }, async (_, producer) => {
    for (let n = 0; n < perProducer; n++) {
      await pool.query(`insert into outbox.events (type, key, payload) values ('a', $1, '{}')`, [
        keys[(n + producer) % keys.length],
      ]);
    }
    writing--;
  });
  const settled: { key: string; seq: number }[] = [];
  const settlers: Promise<void>[] = [];
  while (settled.length < 4 * perProducer) {
    for (const batch of await claim(pool, relay, ['billing'], -1)) {
      const { batchId, run } = await openRun(pool, batch.workflowId);
      const taken = await rows<{ key: string; seq: number }>(
        'select key, seq::int from outbox.deliveries where batch_id = $1 order by seq',
        [batchId],
      );
      settlers.push(
        (async () => {
          for (const row of taken) {
            settled.push(row);
            await pool.query('select outbox.acknowledge($1, $2, array[$3::bigint], true)', [
              batchId,
              run,
              row.seq,
            ]);
          }
          await pool.query('select outbox.finish_attempt($1, $2, 200)', [batchId, run]);
        })(),
      );
    }
  }
  await Promise.all([...producers, ...settlers]);
  for (const key of keys) {
    const seqs = settled.filter((row) => row.key === key).map(({ seq }) => seq);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  }
  expect(settled).toHaveLength(4 * perProducer);
}, 60_000);

test('a late commit of a key cannot come after one that was written later', async () => {
  const database = await keyedDatabase();
  const late = await session(database.url);
  await late.query(`begin; insert into outbox.events (type, key, payload) values ('late', 'a', '{}')`);
  const other = await session(database.url);
  const waiting = other.query(`insert into outbox.events (type, key, payload) values ('waiting', 'a', '{}')`);
  await database.pool.query(`insert into outbox.events (type, key, payload) values ('free', 'b', '{}')`);
  const relay = await soleRelay(database.pool);
  expect(await keysIn(database, (await claim(database.pool, relay))[0])).toBe('b');
  await late.query('commit');
  await waiting;
  const [batch] = await claim(database.pool, relay);
  expect(
    await database.rows(
      `select e.type from outbox.deliveries d join outbox.events e on e.id = d.event_id where d.batch_id = $1 order by d.seq`,
      [batch?.batchId],
    ),
  ).toEqual([{ type: 'late' }, { type: 'waiting' }]);
});

test('a scheduled row takes its turn when it is due, at the tail; a key being written just now waits', async () => {
  const database = await keyedDatabase();
  await database.pool.query(
    `insert into outbox.events (type, key, payload, deliver_at) values ('a', 'a', '{}', now() + interval '1 hour')`,
  );
  await write(database, 'ab');
  const relay = await soleRelay(database.pool);
  const [batch] = await claim(database.pool, relay);
  expect(await keysIn(database, batch)).toBe('ab');
  await database.pool.query(`update outbox.deliveries set due_at = now() where state = 'scheduled'`);
  const producer = await session(database.url);
  await producer.query(`begin; insert into outbox.events (type, key, payload) values ('a', 'a', '{}')`);
  expect(await promoteDue(database.pool, 100)).toBe(0);
  await producer.query('commit');
  expect(await promoteDue(database.pool, 100)).toBe(1);
  expect(await left(database)).toEqual({ claimed: '2 3', pending: '4 5' });
});

test('rows changed by hand strand no key for good', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'ab');
  await claim(database.pool, relay);
  await write(database, 'aab');
  await claim(database.pool, relay);
  await database.pool.query(`delete from outbox.deliveries where seq = 1`);
  expect(await left(database)).toEqual({ claimed: '2', blocked: '3 4 5' });
  expect(await database.rows(`select outbox.wake_stranded('{billing}') as woken`)).toEqual([{ woken: 1 }]);
  expect(await left(database)).toEqual({ claimed: '2', pending: '3', blocked: '4 5' });
});

test('a claim under another isolation level is refused with what to do', async () => {
  const database = await keyedDatabase();
  await write(database, 'a');
  const relay = await soleRelay(database.pool);
  const other = await session(database.url);
  await other.query('begin isolation level repeatable read');
  await expect(
    other.query(`select * from outbox.claim($1, '{billing}', '{0}', '1 s')`, [relay]),
  ).rejects.toMatchObject({
    message: expect.stringContaining('read committed') as string,
    hint: expect.stringContaining('default_transaction_isolation') as string,
  });
});

test('a destination that begins to keep order gives what waits its key; what is under way holds it', async () => {
  const database = await keyedDatabase('');
  const relay = await soleRelay(database.pool);
  await write(database, 'aa');
  const [batch] = await claim(database.pool, relay);
  await write(database, 'ab-');
  await applyTestConfig(database, yamlWith(keyed));
  const [next] = await claim(database.pool, relay);
  expect(await keysIn(database, next)).toBe('b-');
  expect(await left(database)).toEqual({ claimed: '1 2 4 5', blocked: '3' });
  await acknowledge(database, batch, 1, 2);
  expect(await left(database)).toEqual({ claimed: '4 5', pending: '3' });
});

test('a destination that ends to keep order lets everything go', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aaa');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1, 'permanent');
  await applyTestConfig(database, yamlWith(''));
  expect(await left(database)).toEqual({ parked: '1', pending: '2 3' });
  expect(await database.rows('select distinct key from outbox.deliveries')).toEqual([{ key: null }]);
});

test('from block to skip, what is parked lets its key pass', async () => {
  const database = await keyedDatabase();
  const relay = await soleRelay(database.pool);
  await write(database, 'aaa');
  const [batch] = await claim(database.pool, relay);
  await fail(database, batch, 1, 'permanent');
  await applyTestConfig(database, yamlWith(`${keyed}, onPark: skip`));
  expect(await left(database)).toEqual({ parked: '1', pending: '2', blocked: '3' });
});
