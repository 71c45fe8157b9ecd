/** A database from before there were bytes, with a day out of sight and one whose detach was broken off. */
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { uuid7 } from '../../src/halfMessages/message.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { databaseBefore } from '../storage/fixtures.ts';
import { atEnd, eventually } from '../support/index.ts';

test('is upgraded with its rows; what is unsettled of those days is still kept', async () => {
  const { pool, rows, url } = await databaseBefore('bytes');
  await pool.query('select outbox.make_partitions()');
  const days = [1, 2, 3].map((n) => {
    const at = Date.now() + n * 86_400_000;
    const tag = new Date(at).toISOString().slice(0, 10).replaceAll('-', '');
    return { n, id: uuid7(at), day: `events_${tag}` };
  });
  for (const { id, n } of days)
    await pool.query(`insert into outbox.events (id, type, payload) values ($1, 'a', $2)`, [id, { n }]);
  const [detached, detaching, attached] = days as [(typeof days)[0], (typeof days)[0], (typeof days)[0]];
  await pool.query(
    `insert into outbox.deliveries (event_id, destination, seq, state) select id, 'nowhere', nextval('outbox.delivery_seq'), 'pending' from unnest($1::uuid[]) id`,
    [days.map(({ id }) => id)],
  );
  await pool.query(`alter table outbox.events detach partition outbox.${detached.day}`);
  // A detach that waits for a reader, and whose client gives up.
  const reader = await session(url);
  await reader.query('begin isolation level repeatable read');
  await reader.query('select count(*) from outbox.events');
  const detacher = await session(url);
  await detacher.query(`set lock_timeout = '1s'`);
  await expect(
    detacher.query(`alter table outbox.events detach partition outbox.${detaching.day} concurrently`),
  ).rejects.toThrow(/lock timeout/);
  await reader.query('rollback');
  await eventually(async () =>
    expect(await rows('select 1 from pg_inherits where inhdetachpending')).toHaveLength(1),
  );

  await migrate(pool);
  for (const { day } of [detached, detaching])
    await pool.query('select outbox.keep_unsettled($1, 10)', [day]);
  expect(await rows('select id, payload, payload_bytes from outbox.events_kept order by id')).toEqual([
    { id: detached.id, payload: { n: 1 }, payload_bytes: null },
    { id: detaching.id, payload: { n: 2 }, payload_bytes: null },
  ]);
  await pool.query(`select outbox.erase(array[$1::uuid], 'dpo', 'cli', 'x')`, [detached.id]);
  expect(await rows(`select payload::text from outbox.${detached.day}`)).toEqual([{ payload: 'null' }]);
  expect(await rows('select id from outbox.events')).toEqual([{ id: attached.id }]);
  // And what was there and what comes is held to the new rules.
  await pool.query(
    `insert into outbox.events (type, payload_bytes, content_type) values ('a', '\\x00', 'text/csv')`,
  );
  await expect(
    pool.query(`update outbox.events set payload = null where id = $1`, [attached.id]),
  ).rejects.toThrow(/events_have_one_payload/);
});

async function session(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  atEnd(() => client.end());
  return client;
}
