/** pg-boss as its documentation advises for throughput: batches of jobs, looked for twice a second, which is the most it allows. */
import { createRequire } from 'node:module';
import pg from 'pg';
import { Pool as HttpPool } from 'undici';
import { post } from './post.mjs';
import { payloadSql, play } from './role.mjs';

const require = createRequire(`${process.env.BENCH_PEERS}/node_modules/`);
const { PgBoss } = require('pg-boss');
const queue = 'deliver';

let pool;
let boss;
let http;

await play({
  prepare: async (given) => {
    pool = new pg.Pool({ connectionString: given.databaseUrl, max: 4 });
    boss = new PgBoss({ connectionString: given.databaseUrl, max: 12, schedule: false });
    boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
    await boss.start();
    await boss.createQueue(queue);
    http = new HttpPool(given.receiverUrl, { connections: 50, pipelining: 1 });
  },
  fill: async (events) => {
    const { rows } = await pool.query(`select ${payloadSql} as data from generate_series(1, $1::int) i`, [
      events,
    ]);
    for (let at = 0; at < rows.length; at += 5_000) await boss.insert(queue, rows.slice(at, at + 5_000));
  },
  insert: (payload) => boss.send(queue, JSON.parse(payload)),
  begin: () =>
    boss.work(queue, { batchSize: 1_000, pollingIntervalSeconds: 0.5 }, (jobs) =>
      Promise.all(jobs.map(deliver)),
    ),
  left: async () =>
    (await pool.query(`select count(*)::int as n from pgboss.job where state < 'completed'`)).rows[0].n,
  stop: async () => {
    await boss.stop({ graceful: false });
    await http.close();
    await pool.end();
  },
});

function deliver({ id, data }) {
  return post(http, id, data);
}
