/** A standalone activity of Temporal for each row: rows of an outbox table are read, an activity is started for each, and what was started is deleted. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import pg from 'pg';
import { Pool as HttpPool } from 'undici';
import { post } from './post.mjs';
import { payloadSql, play } from './role.mjs';

Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

/** Rows whose activities are started at once, and the pace of looking: as ours polls. */
const startsAtOnce = 16;
const pollMs = { busy: 5, idle: 20 };
const taskQueue = `standalone-${randomUUID()}`;

let pool;
let http;
let client;
let connection;
let worker;
let running;
let underWay = 0;
let stopping = false;

await play({
  prepare: async (given) => {
    pool = new pg.Pool({ connectionString: given.databaseUrl });
    await pool.query(
      'create table rows (id uuid primary key default gen_random_uuid(), at bigint generated always as identity, payload jsonb)',
    );
    await pool.query('create index on rows (at)');
    http = new HttpPool(given.receiverUrl, { connections: 50, pipelining: 1 });
    connection = await NativeConnection.connect({ address: given.temporalAddress });
    client = new Client({ connection: await Connection.connect({ address: given.temporalAddress }) });
    worker = await Worker.create({
      connection,
      taskQueue,
      activities: { deliver },
      maxConcurrentActivityTaskExecutions: 50,
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 8 },
    });
  },
  fill: (events) =>
    pool.query(`insert into rows (payload) select ${payloadSql} from generate_series(1, $1::int) i`, [
      events,
    ]),
  insert: (payload) => pool.query('insert into rows (payload) values ($1)', [payload]),
  begin: async () => {
    running = worker.run();
    void loop();
  },
  left: async () => (await pool.query('select count(*)::int as n from rows')).rows[0].n + underWay,
  stop: async () => {
    stopping = true;
    worker.shutdown();
    await running;
    await client.connection.close();
    await connection.close();
    await http.close();
    await pool.end();
  },
});

async function loop() {
  while (!stopping) {
    const { rows } = await pool.query('select id, payload from rows order by at limit 100');
    for (let from = 0; from < rows.length; from += startsAtOnce)
      await Promise.all(rows.slice(from, from + startsAtOnce).map(start));
    if (rows.length > 0) await pool.query('delete from rows where id = any ($1)', [rows.map(({ id }) => id)]);
    await sleep(rows.length > 0 ? pollMs.busy : pollMs.idle);
  }
}

async function start({ id, payload }) {
  underWay++;
  await client.activity.start('deliver', { id, taskQueue, args: [id, payload], startToCloseTimeout: '1m' });
}

async function deliver(id, payload) {
  await post(http, id, payload);
  underWay--;
}
