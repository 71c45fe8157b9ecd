/** No durability at all: read rows, post them, delete them in bulk. The ceiling of this machine. */
import pg from 'pg';
import { Pool as HttpPool } from 'undici';
import { payloadSql, play } from './role.mjs';

let pool;
let http;

await play({
  prepare: async (given) => {
    pool = new pg.Pool({ connectionString: given.databaseUrl });
    await pool.query('create table bare (id bigint generated always as identity primary key, payload jsonb)');
    http = new HttpPool(given.receiverUrl, { connections: 50, pipelining: 1 });
  },
  fill: (events) =>
    pool.query(`insert into bare (payload) select ${payloadSql} from generate_series(1, $1::int) i`, [
      events,
    ]),
  begin: async () => void loop(),
  left: async () => (await pool.query('select count(*)::int as n from bare')).rows[0].n,
  stop: async () => {
    await http.close();
    await pool.end();
  },
});

async function loop() {
  for (;;) {
    const { rows } = await pool.query('select id, payload::text from bare order by id limit 1000');
    if (rows.length === 0) return;
    await Promise.all(rows.map(({ payload }) => post(payload)));
    await pool.query('delete from bare where id = any ($1)', [rows.map(({ id }) => id)]);
  }
}

async function post(payload) {
  const { body } = await http.request({
    path: '/',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: payload,
  });
  await body.dump();
}
