/** DBOS: a durable workflow of one step for each event, from a queue of 50 at once. */
import { createRequire } from 'node:module';
import pg from 'pg';
import { Pool as HttpPool } from 'undici';
import { post } from './post.mjs';
import { payloadSql, play } from './role.mjs';

const require = createRequire(`${process.env.BENCH_PEERS}/node_modules/`);
const { DBOS } = require('@dbos-inc/dbos-sdk');
const queue = 'deliver';

let pool;
let http;
let begin;
const begun = new Promise((resolve) => (begin = resolve));
const workflow = DBOS.registerWorkflow(
  async (payload) =>
    DBOS.runStep(() => deliver(payload, DBOS.workflowID), { name: 'deliver', retriesAllowed: true }),
  { name: 'deliver' },
);

await play({
  prepare: async (given) => {
    pool = new pg.Pool({ connectionString: given.databaseUrl, max: 4 });
    http = new HttpPool(given.receiverUrl, { connections: 50, pipelining: 1 });
    DBOS.setConfig({
      name: 'bench',
      systemDatabaseUrl: given.databaseUrl,
      runAdminServer: false,
      logLevel: 'error',
    });
    await DBOS.launch();
    await DBOS.registerQueue(queue, { workerConcurrency: 50, minPollingIntervalMs: 100 });
  },
  // It has no way to add many; what is added runs at once, so that posting waits for the beginning.
  fill: async (events) => {
    const { rows } = await pool.query(`select ${payloadSql} as data from generate_series(1, $1::int) i`, [
      events,
    ]);
    for (let at = 0; at < rows.length; at += 50)
      await Promise.all(rows.slice(at, at + 50).map(({ data }) => enqueue(data)));
  },
  insert: (payload) => enqueue(JSON.parse(payload)),
  begin: async () => begin(),
  left: async () =>
    (
      await pool.query(
        `select count(*)::int as n from dbos.workflow_status where status in ('ENQUEUED', 'PENDING')`,
      )
    ).rows[0].n,
  stop: async () => {
    await DBOS.shutdown();
    await http.close();
    await pool.end();
  },
});

function enqueue(data) {
  return DBOS.startWorkflow(workflow, { queueName: queue })(data);
}

async function deliver(payload, id) {
  await begun;
  await post(http, id, payload);
}
