/** No durability beyond the rows: read a thousand, publish them pipelined and confirmed by the broker's own client, delete them. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { openPublisher } from './bareClients.mjs';
import { payloadSql, play } from './role.mjs';

let pool;
let publisher;

await play({
  prepare: async ({ databaseUrl, destination }) => {
    pool = new pg.Pool({ connectionString: databaseUrl });
    await pool.query('create table bare (id bigint generated always as identity primary key, payload jsonb)');
    publisher = await openPublisher(destination);
  },
  fill: (events) =>
    pool.query(`insert into bare (payload) select ${payloadSql} from generate_series(1, $1::int) i`, [
      events,
    ]),
  begin: async () => void loop(),
  left: async () => (await pool.query('select count(*)::int as n from bare')).rows[0].n,
  stop: async () => {
    await publisher.close();
    await pool.end();
  },
});

async function loop() {
  for (;;) {
    const { rows } = await pool.query('select id, payload::text from bare order by id limit 1000');
    if (rows.length === 0) return;
    await publisher.publish(
      rows.map(({ id, payload }) => ({ id: randomUUID(), key: `k${id}`, body: payload })),
    );
    await pool.query('delete from bare where id = any ($1)', [rows.map(({ id }) => id)]);
  }
}
