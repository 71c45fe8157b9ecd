/** graphile-worker as its documentation advises for throughput: a local queue, completions in batches, 50 jobs at once. */
import { createRequire } from 'node:module';
import pg from 'pg';
import { Pool as HttpPool } from 'undici';
import { post } from './post.mjs';
import { payloadSql, play } from './role.mjs';

const require = createRequire(`${process.env.BENCH_PEERS}/node_modules/`);
const { makeWorkerUtils, run, Logger } = require('graphile-worker');

let pool;
let runner;
let http;

await play({
  prepare: async (given) => {
    pool = new pg.Pool({ connectionString: given.databaseUrl, max: 12 });
    // It insists on handlers of its own kind for pools it did not make.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    const utils = await makeWorkerUtils({ pgPool: pool });
    await utils.migrate();
    await utils.release();
    http = new HttpPool(given.receiverUrl, { connections: 50, pipelining: 1 });
  },
  // Its own way to add many: by add_job one after another 30,000 took 75 s.
  fill: (events) =>
    pool.query(
      `select count(*) from graphile_worker.add_jobs(array(
         select json_populate_record(null::graphile_worker.job_spec, json_build_object('identifier', 'deliver', 'payload', ${payloadSql}))
         from generate_series(1, $1::int) i))`,
      [events],
    ),
  insert: (payload) => pool.query(`select graphile_worker.add_job('deliver', $1::json)`, [payload]),
  begin: async () => {
    runner = await run({
      pgPool: pool,
      noHandleSignals: true,
      logger: new Logger(() => () => undefined),
      preset: {
        worker: {
          concurrentJobs: 50,
          pollInterval: 500,
          localQueue: { size: 1000 },
          completeJobBatchDelay: 0,
        },
      },
      taskList: { deliver },
    });
  },
  left: async () =>
    (await pool.query('select count(*)::int as n from graphile_worker._private_jobs')).rows[0].n,
  stop: async () => {
    await runner?.stop();
    await http.close();
    await pool.end().catch(() => undefined);
  },
});

function deliver(payload, helpers) {
  return post(http, helpers.job.id, payload);
}
