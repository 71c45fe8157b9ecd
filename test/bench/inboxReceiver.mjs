/** One receiver in a process of its own, of the kind that BENCH_KIND names. All verify the signature and read the same body. */
import { createServer } from 'node:http';
import pg from 'pg';
import { migrateInbox } from '../../dist/src/inbox/index.js';
import { createReceiver, createVerifier } from '../../dist/src/receiver/index.js';

const { BENCH_KIND, BENCH_DATABASE_URL, BENCH_SECRET } = process.env;
const pool = new pg.Pool({ connectionString: BENCH_DATABASE_URL, max: 10 });
await pool.query('create table effects (at timestamptz default now(), payload jsonb)');
const effect = (client, text) => client.query('insert into effects (payload) values ($1)', [text]);
const verify = createVerifier([BENCH_SECRET]);

/** By hand: read, verify, work, 204. */
const plain = (work) => (request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const body = Buffer.concat(chunks);
    verify(request.headers, body);
    await work(body.toString());
    response.writeHead(204).end();
  });
};

async function inTransaction(work) {
  const client = await pool.connect();
  await client.query('begin');
  await work(client);
  await client.query('commit');
  client.release();
}

const kinds = {
  verify: () => plain(async () => {}),
  effect: () => plain((text) => inTransaction((client) => effect(client, text))),
  inbox: async () => {
    await migrateInbox(pool);
    const handler = (client, message) => effect(client, message.text());
    return createReceiver({ consumer: 'bench', secrets: [BENCH_SECRET], pool, handler }).listener;
  },
};

const server = createServer(await kinds[BENCH_KIND]());
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
