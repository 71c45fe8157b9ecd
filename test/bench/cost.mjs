import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { cpuMsOf } from './cpu.mjs';
import { steadily } from './steadily.mjs';

/** The longest that a batch stays open once nothing comes any more, and then some. */
const untilBatchesClose = 8_000;

/**
 * What an event costs at steady rates into one destination: CPU of each process, what PostgreSQL writes and keeps, what Temporal keeps,
 * and what Temporal Cloud would bill.
 */
export async function measureCost(stage, contestant, { rates, seconds, say }) {
  const rows = [];
  for (const perSecond of rates) {
    const row = await costAt(stage, contestant, perSecond, seconds);
    say(`cost: ${JSON.stringify(row)}`);
    rows.push(row);
  }
  return rows;
}

async function costAt(stage, contestant, perSecond, seconds) {
  const databaseUrl = await stage.newDatabase();
  const player = await stage.launch(contestant, { databaseUrl, receiverUrl: stage.receiverUrl });
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    await player.tell('begin', 'begun');
    await steadily(player, perSecond, 3);
    await sleep(untilBatchesClose);
    await stage.received(true);
    const before = await now(stage, player, client);
    await steadily(player, perSecond, seconds);
    while ((await stage.received()).count < seconds * perSecond) await sleep(100);
    await sleep(untilBatchesClose);
    const after = await now(stage, player, client);
    const temporal = await stage.histories(before.at);
    const events = seconds * perSecond;
    const each = (name, digits = 0) => Number(((after[name] - before[name]) / events).toFixed(digits));
    return {
      'events/s': perSecond,
      events,
      'µs of run': each('run'),
      'µs of PostgreSQL': each('postgres'),
      'µs of Temporal': each('temporal'),
      'WAL bytes': each('wal'),
      'bytes kept': each('kept'),
      'dead rows': each('dead', 2),
      workflows: temporal.workflows,
      'history events': Number((temporal.events / events).toFixed(3)),
      'history bytes': Number((temporal.bytes / events).toFixed(1)),
      'billed actions': Number((temporal.actions / events).toFixed(4)),
    };
  } finally {
    await client.end();
    await player.end();
  }
}

async function now({ postgresPid, temporalPid }, player, client) {
  const { rows } = await client.query(`
    select (pg_current_wal_insert_lsn() - '0/0')::float8 as wal,
      (select sum(pg_relation_size(relid))::float8 from pg_stat_user_tables
       where schemaname = 'outbox' and relname ~ '^(events|delivered)') as kept,
      (select sum(n_tup_del + n_tup_upd - n_tup_hot_upd)::float8 from pg_stat_user_tables where schemaname = 'outbox') as dead`);
  return {
    at: new Date(),
    run: cpuMsOf(player.pid) * 1000,
    postgres: cpuMsOf(postgresPid) * 1000,
    temporal: cpuMsOf(temporalPid) * 1000,
    ...rows[0],
  };
}
