/**
 * npm run chaos:volume -- [--events N] [--days D] [--parked P] [--open-transaction] [--json]
 *
 * N events through the system as if D days passed: each day's events carry ids of that day, are delivered, and housekeeping then runs
 * with a retention of one day. Says what is left in the tables, and how long a look for the next pending row took meanwhile.
 * With --open-transaction somebody else's transaction stays open all the time and pins the horizon of vacuum.
 * --database URL and --temporal HOST:PORT take servers that run already; the database is to be empty.
 */
import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import pg from 'pg';
import { parseConfig } from '../../dist/src/config/load.js';
import { startServers } from '../../dist/src/embedded/index.js';
import { applyConfig } from '../../dist/src/storage/configuration.js';
import { connect } from '../../dist/src/storage/connect.js';
import { migrate } from '../../dist/src/storage/migrate.js';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    days: { type: 'string', default: '10' },
    parked: { type: 'string', default: '20' },
    'open-transaction': { type: 'boolean', default: false },
    database: { type: 'string' },
    temporal: { type: 'string' },
    name: { type: 'string', default: 'volume' },
    json: { type: 'boolean', default: false },
  },
});
const [events, days, parked] = ['events', 'days', 'parked'].map((name) => Number(values[name]));
if (
  ![events, days, parked].every(Number.isInteger) ||
  days < 1 ||
  days > 365 ||
  events < days ||
  parked > events
)
  throw new Error('--events, --days (1 to 365) and --parked are whole numbers, --events the largest');

const say = (line) => process.stderr.write(`${line}\n`);
const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const chunk = 1_000;
const backlogMax = 20_000;
const sampleEveryMs = 20;
const midnight = `(date_trunc('day', now() at time zone 'UTC') at time zone 'UTC')`;
let written = 0;

const closers = [];
let exitCode = 0;
try {
  const report = await play();
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
  if (report.problems.length > 0) exitCode = 1;
} finally {
  for (const close of closers.reverse()) await close();
}
process.exit(exitCode);

async function play() {
  const { databaseUrl, temporalAddress } = await servers();
  const env = { ...process.env, OUTBOX_DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: temporalAddress };
  const receiver = await startReceiver();
  const pool = connect(databaseUrl, { max: 6, applicationName: 'volume' });
  closers.push(() => pool.end());
  await prepare(pool, receiver.url);
  const run = spawn(process.execPath, [main, 'run', '--log-level', 'warn'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise((resolve) => run.once('exit', resolve));
  closers.push(async () => {
    run.kill('SIGTERM');
    await ended;
  });
  const pin = values['open-transaction'] ? await openTransaction(databaseUrl) : undefined;
  const sampler = startSampler(pool);
  const rows = [];
  for (let day = days + 1; day >= 2; day--) {
    const count = share(events, day);
    await makeDay(pool, day);
    const startedAt = performance.now();
    await writeDay(pool, day, count, share(parked, day));
    await drained(pool);
    const seconds = (performance.now() - startedAt) / 1000;
    const before = await bytesOf(pool);
    const { report } = JSON.parse(await command(['housekeeping', 'run', '--json'], env));
    rows.push({
      day: days + 2 - day,
      events: count,
      'events/s': Math.round(count / seconds),
      'look p50 ms': sampler.take(0.5),
      'look p99 ms': sampler.take(0.99),
      'dead rows': await deadRows(pool),
      'MiB before': mib(before),
      'MiB after': mib(await bytesOf(pool)),
      dropped: report.dropped.length,
      waiting: report.waiting.length,
      kept: report.kept,
      'pass ms': report.durationMs,
    });
    sampler.clear();
    say(JSON.stringify(rows.at(-1)));
  }
  await pin?.();
  sampler.stop();
  return {
    events,
    days,
    parked,
    openTransaction: values['open-transaction'],
    rows,
    ...(await finish(pool, env, receiver)),
  };
}

/** What was parked long ago is repaired and delivered; then nothing may be left, and nothing may be missing. */
async function finish(pool, env, receiver) {
  const problems = [];
  const expect = (what, actual, wanted) => {
    if (actual !== wanted) problems.push(`${what}: ${actual}, expected ${wanted}`);
  };
  await command(['housekeeping', 'run', '--json'], env);
  const tables = await tableSizes(pool);
  expect('events kept while parked', await countOf(pool, 'events_kept'), parked);
  expect('parked', await countOf(pool, 'deliveries'), parked);
  expect('events whose day was not dropped', await countOf(pool, 'events'), 0);
  receiver.repair();
  if (parked > 0) await command(['dlq', 'retry', '--all', '--rate', '5000', '--yes', '--json'], env);
  await eventually(async () => (await countOf(pool, 'deliveries')) === 0);
  await command(['housekeeping', 'run', '--json'], env);
  expect('events kept at the end', await countOf(pool, 'events_kept'), 0);
  expect('distinct events received', receiver.acknowledged(), events);
  return { tables, problems };
}

async function servers() {
  if (values.database !== undefined && values.temporal !== undefined)
    return { databaseUrl: values.database, temporalAddress: values.temporal };
  const started = await startServers({ headless: true, onProgress: say });
  closers.push(() => started.stop());
  return { databaseUrl: started.postgres.url, temporalAddress: started.temporal.address };
}

/** Refuses what is to be parked until it is repaired, and remembers, a bit each, which numbers it took. */
async function startReceiver() {
  const taken = new Uint8Array(events);
  let repaired = false;
  const server = createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const { n, refuse } = JSON.parse(Buffer.concat(parts).toString());
      const refused = refuse === true && !repaired;
      if (!refused) taken[n] = 1;
      response.writeHead(refused ? 422 : 204).end();
    });
  });
  server.keepAliveTimeout = 120_000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    repair: () => (repaired = true),
    acknowledged: () => taken.reduce((sum, each) => sum + each, 0),
  };
}

async function prepare(pool, url) {
  await migrate(pool);
  const text = JSON.stringify({
    name: values.name,
    destinations: { volume: { type: 'http', url } },
    routes: [{ match: '*', to: ['volume'] }],
    retention: { events: '1d', delivered: 0 },
  });
  const { config } = parseConfig(text);
  await applyConfig(pool, config, text, 'volume');
}

/** As the relay would have made it when that day was near. */
async function makeDay(pool, day) {
  const [from, to] = [day, day - 1].map((ago) => `${midnight} - ${ago} * interval '24 hours'`);
  await pool.query(`begin; set local role outbox_migrator;
    select outbox.make_partition('events', 'events_' || to_char((${from}) at time zone 'UTC', 'YYYYMMDD'),
      outbox.uuid7_floor(${from})::text, outbox.uuid7_floor(${to})::text); commit`);
}

/** Of a sum, what falls to this day; the first days take the rest. */
function share(sum, day) {
  const index = days + 1 - day;
  return Math.floor((sum * (index + 1)) / days) - Math.floor((sum * index) / days);
}

async function writeDay(pool, day, count, refused) {
  for (let done = 0; done < count; done += chunk) {
    const size = Math.min(chunk, count - done);
    await pool.query(
      `insert into outbox.events (id, type, payload)
       select (left(outbox.uuid7_floor(${midnight} - $1 * interval '24 hours' + (n % 86400000) * interval '1 ms')::text, 13)
                 || '-7' || substr(u, 16, 3) || '-8' || substr(u, 21, 3) || substr(u, 24))::uuid,
              'order.created', jsonb_build_object('n', $2::int + n, 'refuse', $3::int + n < $4::int, 'text', repeat('x', 200))
       from generate_series(0, $5::int - 1) n cross join lateral (select gen_random_uuid()::text as u offset 0 * n) r`,
      [day, written, done, refused, size],
    );
    written += size;
    while ((await countOf(pool, 'deliveries')) > backlogMax + parked) await sleep(100);
  }
}

async function drained(pool) {
  await eventually(async () => {
    const { rows } = await pool.query(`select 1 from outbox.deliveries where state <> 'parked' limit 1`);
    return rows.length === 0;
  });
}

async function eventually(holds) {
  for (const deadline = Date.now() + 30 * 60_000; !(await holds());) {
    if (Date.now() > deadline) throw new Error('waited half an hour for rows to be settled');
    await sleep(100);
  }
}

/** The question that every claim begins with, asked as the sweep asks it: from the beginning of the lane. */
function startSampler(pool) {
  let times = [];
  let stopped = false;
  void (async () => {
    while (!stopped) {
      const startedAt = performance.now();
      await pool
        .query(
          `select seq from outbox.deliveries where destination = 'volume' and state = 'pending' order by seq limit 1`,
        )
        .catch(() => undefined);
      times.push(performance.now() - startedAt);
      await sleep(sampleEveryMs);
    }
  })();
  return {
    take: (quantile) => {
      const sorted = [...times].sort((one, other) => one - other);
      return Number((sorted[Math.floor(sorted.length * quantile)] ?? 0).toFixed(2));
    },
    clear: () => (times = []),
    stop: () => (stopped = true),
  };
}

async function openTransaction(url) {
  const client = new pg.Client({ connectionString: url, application_name: 'somebody else' });
  await client.connect();
  await client.query('begin isolation level repeatable read');
  await client.query('select txid_current()');
  const close = () => client.end().catch(() => undefined);
  closers.push(close);
  return close;
}

async function command(args, env) {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args], {
    env,
    maxBuffer: 2 ** 28,
  });
  return stdout;
}

async function countOf(pool, table) {
  const { rows } = await pool.query(`select count(*)::int as n from outbox.${table}`);
  return rows[0].n;
}

async function deadRows(pool) {
  const { rows } = await pool.query(
    `select n_dead_tup::int as n from pg_stat_user_tables where schemaname = 'outbox' and relname = 'deliveries'`,
  );
  return rows[0]?.n ?? 0;
}

async function bytesOf(pool) {
  return (await tableSizes(pool)).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Partitions under their parent's name. */
async function tableSizes(pool) {
  const { rows } = await pool.query(
    `select regexp_replace(relname, '_[0-9]{8}$', '') as "table", sum(pg_table_size(oid))::float8 as heap,
            sum(pg_indexes_size(oid))::float8 as indexes, sum(pg_total_relation_size(oid))::float8 as bytes
     from pg_class where relnamespace = 'outbox'::regnamespace and relkind = 'r' group by 1 order by 4 desc`,
  );
  return rows;
}

function mib(bytes) {
  return Number((bytes / 2 ** 20).toFixed(1));
}

function print({ rows, tables, problems, ...head }) {
  console.log(JSON.stringify(head));
  console.table(rows);
  console.table(
    tables
      .slice(0, 8)
      .map(({ table, heap, indexes }) => ({ table, 'heap MiB': mib(heap), 'indexes MiB': mib(indexes) })),
  );
  console.log(problems.length === 0 ? 'nothing is missing, nothing is left' : problems.join('\n'));
}
