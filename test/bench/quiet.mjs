import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { cpuMsOf } from './cpu.mjs';
import { quantile } from './figures.mjs';

/** Nobody listens there. */
const deadUrl = 'http://127.0.0.1:9/';
const slowMs = 10_000;

/**
 * A sender of webhooks: many destinations, and few events for each. Milliseconds from commit to receipt of the healthy ones, workflows started a
 * second, and what it costs while nothing happens. `dead` of them refuse connections, `slow` take ten seconds an answer.
 */
export async function measureQuiet(stage, ours, { destinations, rates, seconds, dead, slow, say }) {
  const rows = [];
  const named = Array.from({ length: destinations }, (_, n) => ({
    name: `d${n}`,
    kind: n < dead ? 'dead' : n < dead + slow ? 'slow' : 'healthy',
  }));
  const databaseUrl = await stage.newDatabase();
  const player = await stage.launch(ours, {
    databaseUrl,
    receiverUrl: stage.receiverUrl,
    destinations: named.map(({ name, kind }) => [
      name,
      kind === 'dead' ? deadUrl : `${stage.receiverUrl}${kind === 'slow' ? `slow/${slowMs}` : name}`,
    ]),
  });
  await player.tell('begin', 'begun');
  const producer = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  await sleep(5_000);
  rows.push(await idle('idle before'));
  for (const perSecond of rates) {
    // Connections are opened, and circuits of the dead ones: what many cost that die at one moment is over after a minute.
    const warmS = Math.max(dead > 0 ? 80 : 10, Math.ceil(destinations / perSecond));
    await steadily(producer, named, perSecond, warmS);
    await sleep(1_000);
    await stage.received(true);
    const before = await stage.workflows();
    const cpu = {
      ours: cpuMsOf(player.pid),
      postgres: cpuMsOf(stage.postgresPid),
      temporal: cpuMsOf(stage.temporalPid),
    };
    await steadily(producer, named, perSecond, seconds);
    await sleep(500);
    const workflows = (await stage.workflows()) - before;
    const share = (name, pid) => ((cpuMsOf(pid) - cpu[name]) / ((seconds + 0.5) * 10)).toFixed(1);
    const used = `${share('ours', player.pid)}, ${share('postgres', stage.postgresPid)}, ${share('temporal', stage.temporalPid)}`;
    await sleep(5_000);
    const { times } = await stage.received(true);
    const row = {
      destinations,
      dead,
      slow,
      'events/s': perSecond,
      healthy: times.length,
      'starts/s': (workflows / (seconds + 0.5)).toFixed(1),
      'p50 ms': quantile(times, 0.5).toFixed(1),
      'p99 ms': quantile(times, 0.99).toFixed(1),
      'last ms': Math.max(...times).toFixed(0),
      'cpu % of a core: ours, PostgreSQL, Temporal': used,
    };
    say(`quiet: ${JSON.stringify(row)}`);
    rows.push(row);
  }
  await sleep(15_000);
  rows.push(await idle('idle after'));
  await producer.end();
  await player.end();
  return rows;

  async function idle(what) {
    const pids = { ours: player.pid, PostgreSQL: stage.postgresPid, Temporal: stage.temporalPid };
    const before = Object.values(pids).map(cpuMsOf);
    await sleep(10_000);
    const used = Object.values(pids).map((pid, n) => ((cpuMsOf(pid) - before[n]) / 100).toFixed(1));
    const row = {
      destinations,
      dead,
      slow,
      what,
      'cpu % of a core: ours, PostgreSQL, Temporal': used.join(', '),
    };
    say(`quiet: ${JSON.stringify(row)}`);
    return row;
  }
}

/** Inserts by the clock, whatever the answers take, for one destination after another in an order that looks like chance; what is due together in one statement. */
async function steadily(producer, named, perSecond, forSeconds) {
  const startedAt = performance.now();
  const total = forSeconds * perSecond;
  for (let index = 0; index < total; await sleep(5)) {
    const due = Math.min(Math.floor(((performance.now() - startedAt) * perSecond) / 1000) + 1, total);
    if (due === index) continue;
    const at = (performance.timeOrigin + performance.now()).toFixed(3);
    const types = [];
    const payloads = [];
    for (; index < due; index++) {
      const { name, kind } = named[(index * 7919) % named.length];
      types.push(`${name}.x`);
      payloads.push(kind === 'healthy' ? `{"at": ${at}}` : '{}');
    }
    producer
      .query('insert into outbox.events (type, payload) select * from unnest($1::text[], $2::jsonb[])', [
        types,
        payloads,
      ])
      .catch((error) => process.stderr.write(`${error.message}\n`));
  }
}
