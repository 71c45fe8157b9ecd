/**
 * A redrive that nobody disturbs: does it hold the rate that was asked for, in every ten seconds of it? And what does it cost to park an
 * event with its cause, beside parking it with none: the same database without what keeps causes.
 */
import { fork } from 'node:child_process';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { createRedrives } from '../../dist/src/redrive/index.js';
import { parseConfig } from '../../dist/src/config/load.js';
import { applyConfig } from '../../dist/src/storage/configuration.js';
import { connect } from '../../dist/src/storage/connect.js';
import { migrate } from '../../dist/src/storage/migrate.js';
import { payloadSql } from './contestants/role.mjs';
import { cpuMsOf } from './cpu.mjs';
import { median } from './figures.mjs';

const windowSeconds = 10;
const canary = 10;

export async function measureRedrive(stage, { letters, rates, rounds, say }) {
  const receiver = await startReceiver();
  try {
    const rows = [];
    for (const rate of rates) rows.push(...(await redriveAt(stage, receiver, { letters, rate, say })));
    if (rounds > 0) rows.push(...(await parking(stage, receiver, { letters, rounds, say })));
    return rows;
  } finally {
    receiver.end();
  }
}

async function redriveAt(stage, receiver, { letters, rate, say }) {
  const outbox = await openOutbox(stage, receiver);
  const { pool, name } = outbox;
  const connection = await Connection.connect({ address: stage.temporalAddress });
  try {
    await receiver.answer(422);
    await outbox.write(letters);
    await outbox.parked(letters);
    await receiver.answer(204);
    const temporal = { client: new Client({ connection }), address: stage.temporalAddress };
    const redrives = createRedrives({ db: pool, name, temporal });
    const { redrive } = await redrives.preview(
      { destination: 'billing', steps: [canary], rate },
      { actor: 'bench' },
    );
    await redrives.start(redrive.id, { actor: 'bench' });
    let now;
    do await sleep(500);
    while ((now = (await redrives.status(redrive.id)).redrive).endedAt === null);
    const of = `redrive of ${now.done} of ${letters} at ${rate}/s (${now.state})`;
    const released = await perWindow(
      pool,
      `select sent_at from outbox.redrive_members where redrive_id = ${redrive.id} and step > 1`,
    );
    const delivered = await perWindow(pool, 'select delivered_at as sent_at from outbox.delivered');
    say(`redrive: ${of}: let go ${released.join(', ')}; delivered ${delivered.join(', ')} a second`);
    return [
      row(`${of}, let go a second, by ten seconds`, released, rate),
      row(`${of}, delivered a second, by ten seconds`, delivered, rate),
    ];
  } finally {
    await connection.close();
    await outbox.end();
  }
}

function row(what, perSecond, rate) {
  return {
    what,
    least: Math.min(...perSecond),
    most: Math.max(...perSecond),
    'of what was asked for': `${share(Math.min(...perSecond), rate)} to ${share(Math.max(...perSecond), rate)}`,
    load: loadavg()[0].toFixed(1),
  };
}

const share = (part, whole) => `${Math.round((part / whole) * 100)}%`;

/** Of whole windows: the first second, in which it begins, and what comes after the last whole one are left out. */
async function perWindow(pool, query) {
  const { rows } = await pool.query(
    `with at as (${query}), span as (select min(sent_at) + interval '1 s' as first, max(sent_at) as last from at)
     select count(a.sent_at)::float8 / ${windowSeconds} as n
     from span cross join generate_series(first, last - interval '${windowSeconds} s', interval '${windowSeconds} s') w
     left join at a on a.sent_at >= w and a.sent_at < w + interval '${windowSeconds} s' group by w order by w`,
  );
  return rows.map(({ n }) => Math.round(n * 10) / 10);
}

/** Events that wait, all refused for good: how many a second are parked, and the CPU of one. In turns. */
async function parking(stage, receiver, { letters, rounds, say }) {
  const found = { 'with causes': [], 'without causes': [] };
  for (let round = 0; round < rounds; round++)
    for (const kind of Object.keys(found)) {
      const outbox = await openOutbox(stage, receiver, { paused: true });
      try {
        if (kind === 'without causes') await outbox.pool.query(withoutCauses);
        await receiver.answer(422);
        await outbox.write(letters);
        const before = cpuNow(stage, outbox);
        const began = performance.now();
        await outbox.resume();
        await outbox.parked(letters);
        const seconds = (performance.now() - began) / 1_000;
        const after = cpuNow(stage, outbox);
        const cost = (who) => ((after[who] - before[who]) * 1_000) / letters;
        found[kind].push({
          rate: letters / seconds,
          postgres: cost('postgres'),
          worker: cost('worker'),
        });
        say(`parking ${kind}: ${JSON.stringify(found[kind].at(-1))}`);
      } finally {
        await outbox.end();
      }
    }
  return Object.entries(found).map(([kind, of]) => ({
    what: `parking ${letters} ${kind}`,
    'parked/s': of.map(({ rate }) => Math.round(rate)).join(', '),
    'µs of PostgreSQL, median': Math.round(median(of.map(({ postgres }) => postgres))),
    'µs of the worker, median': Math.round(median(of.map(({ worker }) => worker))),
    load: loadavg()[0].toFixed(1),
  }));
}

/** What 0026 brought: the error without what differs, a digest of it, and two indexes. */
const withoutCauses = `
  create or replace function outbox.cause_text(p_message text, p_excerpt text) returns text
  language sql immutable parallel safe as $$ select '' $$;
  create or replace function outbox.cause_id(p_destination text, p_class text, p_status integer, p_error text) returns text
  language sql immutable parallel safe as $$ select '000000000000' $$;
  drop index outbox.dead_letters_open_by_cause, outbox.dead_letters_by_cause`;

function cpuNow({ postgresPid }, { running }) {
  return { postgres: cpuMsOf(postgresPid), worker: cpuMsOf(running.pid) };
}

async function openOutbox(stage, receiver, { paused = false } = {}) {
  const databaseUrl = await stage.newDatabase();
  const name = databaseUrl.split('/').pop().replace('_', '-');
  const pool = connect(databaseUrl);
  await migrate(pool);
  const billing = { type: 'http', url: receiver.url, circuit: { enabled: false } };
  const { config } = parseConfig(
    JSON.stringify({ name, destinations: { billing }, routes: [{ match: 'order.*', to: ['billing'] }] }),
  );
  await applyConfig(pool, config, 'bench', 'bench');
  const pause = (at) =>
    pool.query(`update outbox.destinations set paused_at = ${at}, paused_reason = 'bench'`);
  if (paused) await pause('now()');
  const running = stage.runCommand(databaseUrl);
  return {
    ...{ pool, name, running },
    resume: () => pause('null'),
    write: async (count) => {
      for (let left = count; left > 0; left -= 5_000)
        await pool.query(
          `insert into outbox.events (type, payload) select 'order.created', ${payloadSql} from generate_series(1, $1::int) i`,
          [Math.min(left, 5_000)],
        );
    },
    parked: async (count) => {
      const query = 'select count(*)::int as n from outbox.dead_letters where resolved_at is null';
      while ((await pool.query(query)).rows[0].n < count) await sleep(100);
    },
    end: async () => {
      await running.end();
      await pool.end();
    },
  };
}

/** A receiver whose answer can be changed. */
async function startReceiver() {
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
  return {
    url: `http://127.0.0.1:${port}/`,
    answer: (status) => {
      child.send({ reset: true, status, says: status === 204 ? '' : refusal });
      return told('count');
    },
    end: () => child.kill(),
  };
}

const refusal = '{"title":"unprocessable","detail":"customer 4711 is unknown","trace":"0f1c9a2e-5a1b"}';
