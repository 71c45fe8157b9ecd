/**
 * 100,000 events wait for a destination that is down while another one gets 200 a second: how many workflows are open, how many
 * attempts are charged, what the neighbour notices, and how fast the backlog goes once the destination is well again, beside the
 * same backlog without any outage.
 */
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { parseConfig } from '../../dist/src/config/load.js';
import { applyConfig } from '../../dist/src/storage/configuration.js';
import { connect } from '../../dist/src/storage/connect.js';
import { migrate } from '../../dist/src/storage/migrate.js';
import { payloadSql } from './contestants/role.mjs';
import { quantile } from './figures.mjs';

const perSecond = 200;
const seconds = 15;

export async function measureOutage(stage, { events, say }) {
  const databaseUrl = await stage.newDatabase();
  const sick = await startSick();
  const pool = connect(databaseUrl);
  await migrate(pool);
  await applyConfig(pool, configOf(databaseUrl, stage.receiverUrl, sick.url), 'bench', 'bench');
  const connection = await Connection.connect({ address: stage.temporalAddress });
  const running = stage.runCommand(databaseUrl);
  const watch = watchWorkflows(new Client({ connection }), databaseUrl);
  try {
    await stage.received(true);
    await steadily(pool, 3);
    while ((await stage.received()).count < 3 * perSecond) await sleep(100);
    const without = await healthyP99(stage, pool, 'without the outage', say);

    await sick.answer(503);
    watch.most = 0;
    await fill(pool, events);
    await until(pool, `select exists (select from outbox.circuits where state <> 'closed') as done`);
    const during = await healthyP99(stage, pool, 'during the outage', say);
    const openWorkflows = watch.most;
    const charged = await valueOf(pool, `select count(*)::int from outbox.attempts where charged`);

    await sick.answer(204);
    const healed = await drainRate(pool, sick);
    say(`outage: drained at ${Math.round(healed)}/s after healing`);
    await pool.query(`update outbox.destinations set paused_at = now() where name = 'sick'`);
    await fill(pool, events);
    await sick.answer(204);
    await pool.query(`update outbox.destinations set paused_at = null where name = 'sick'`);
    const ordinary = await drainRate(pool, sick);
    return [
      row('events waiting', events, ''),
      row('open workflows, most of all samples', openWorkflows, '≤ 20'),
      row('attempts charged', charged, '0'),
      row('healthy p99 without, ms', without.toFixed(1), ''),
      row('healthy p99 during, ms', during.toFixed(1), ''),
      row('ratio', (during / without).toFixed(2), '≤ 1.5'),
      row('drain after healing, events/s', Math.round(healed), ''),
      row('the same backlog without an outage, events/s', Math.round(ordinary), ''),
      row('ratio', (healed / ordinary).toFixed(2), '≥ 0.8'),
    ];
  } finally {
    watch.stop();
    await running.end();
    await connection.close();
    await pool.end();
    sick.end();
  }
}

const row = (what, value, goal) => ({ what, value, goal });

function configOf(databaseUrl, healthyUrl, sickUrl) {
  return parseConfig(
    JSON.stringify({
      name: nameOf(databaseUrl),
      destinations: { healthy: { type: 'http', url: healthyUrl }, sick: { type: 'http', url: sickUrl } },
      routes: [
        { match: 'order.*', to: ['healthy'] },
        { match: 'sick.*', to: ['sick'] },
      ],
    }),
  ).config;
}

function nameOf(databaseUrl) {
  return databaseUrl.split('/').pop().replace('_', '-');
}

/** A receiver like the other, whose answer can be changed; it counts since the last change. */
async function startSick() {
  const child = fork(new URL('./receiver.mjs', import.meta.url).pathname);
  const told = (kind) =>
    new Promise((resolve) => {
      const listen = (message) => {
        if (message.kind !== kind) return;
        child.off('message', listen);
        resolve(message);
      };
      child.on('message', listen);
    });
  const { port } = await told('listening');
  const ask = (message) => {
    child.send(message);
    return told('count');
  };
  return {
    url: `http://127.0.0.1:${port}/`,
    answer: (status) => ask({ reset: true, status }),
    count: async () => (await ask({})).count,
    end: () => child.kill(),
  };
}

/** The most workflows of this database that were open at once, looked at every half second. */
function watchWorkflows(client, databaseUrl) {
  const query = `TaskQueue = "temporal-outbox-${nameOf(databaseUrl)}" AND ExecutionStatus = "Running"`;
  const watch = { most: 0, stop: () => clearInterval(timer) };
  const timer = setInterval(async () => {
    const { count } = await client.workflow.count(query).catch(() => ({ count: 0 }));
    watch.most = Math.max(watch.most, count);
  }, 500);
  return watch;
}

async function healthyP99(stage, pool, when, say) {
  await stage.received(true);
  await steadily(pool, seconds);
  await sleep(2_000);
  const { times } = await stage.received(true);
  const p99 = quantile(times, 0.99);
  say(`outage: ${times.length} events to the healthy destination ${when}, p99 ${p99.toFixed(1)} ms`);
  return p99;
}

/** Inserts by the clock, whatever the answers take. */
async function steadily(pool, forSeconds) {
  const startedAt = performance.now();
  const inserts = [];
  for (let index = 0; index < forSeconds * perSecond; index++) {
    const waitMs = startedAt + (index * 1000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const at = (performance.timeOrigin + performance.now()).toFixed(3);
    inserts.push(
      pool.query(`insert into outbox.events (type, payload) values ('order.created', $1)`, [`{"at": ${at}}`]),
    );
  }
  await Promise.all(inserts);
}

async function fill(pool, events) {
  const atOnce = 10_000;
  for (let left = events; left > 0; left -= atOnce) {
    await pool.query(
      `insert into outbox.events (type, payload) select 'sick.created', ${payloadSql} from generate_series(1, $1::int) i`,
      [Math.min(atOnce, left)],
    );
  }
}

/** From the first receipt to the last settled row. */
async function drainRate(pool, sick) {
  const left = `select count(*)::int from outbox.deliveries where destination = 'sick'`;
  while ((await sick.count()) === 0) await sleep(5);
  const events = await valueOf(pool, left);
  const startedAt = performance.now();
  await until(pool, `select not exists (select from outbox.deliveries where destination = 'sick') as done`);
  return (events * 1000) / (performance.now() - startedAt);
}

async function valueOf(pool, query) {
  return Object.values((await pool.query(query)).rows[0])[0];
}

async function until(pool, query) {
  // Seldom: where many dead rows lie about, the question itself takes a share of the machine.
  while ((await valueOf(pool, query)) !== true) await sleep(200);
}
