/**
 * What order per key costs: 200 keys of 100 events each, a twentieth of which is refused twice, through two processes that are each
 * relay and worker. The same events go through a lane in no order and one in order, in turns; the receiver tells whether the order was
 * kept.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../dist/src/config/load.js';
import { applyConfig } from '../../dist/src/storage/configuration.js';
import { connect } from '../../dist/src/storage/connect.js';
import { migrate } from '../../dist/src/storage/migrate.js';
import { median } from './figures.mjs';

const keys = 200;
const perKey = 100;
const events = keys * perKey;
const refusedEvery = 20;
const processes = 2;
const lanes = ['unordered', 'ordered'];

export async function measureOrder(stage, { rounds, say }) {
  const databaseUrl = await stage.newDatabase();
  const receiver = await startReceiver();
  const pool = connect(databaseUrl);
  await migrate(pool);
  await applyConfig(pool, configOf(databaseUrl, receiver.url), 'bench', 'bench');
  const running = Array.from({ length: processes }, () => stage.runCommand(databaseUrl));
  const rates = { unordered: [], ordered: [] };
  const seen = { unordered: [], ordered: [] };
  try {
    // A first event through each lane: everybody is up.
    for (const lane of lanes) await drain(pool, receiver, lane, 1);
    for (let round = 1; round <= rounds; round++) {
      for (const lane of lanes) {
        const { rate, received } = await drain(pool, receiver, lane, perKey);
        rates[lane].push(rate);
        seen[lane].push(received);
        say(
          `order, round ${round} of ${rounds}: ${lane} ${Math.round(rate)}/s, ` +
            `${received.keysInOrder} of ${received.keys} keys in order`,
        );
      }
    }
  } finally {
    await Promise.all(running.map(({ end }) => end()));
    await pool.end();
    receiver.end();
  }
  const ratio = median(rates.ordered.map((rate, round) => rate / rates.unordered[round]));
  const broken = seen.ordered.filter(({ keysInOrder, events: got }) => keysInOrder < keys || got < events);
  if (broken.length > 0) throw new Error(`order per key was not kept: ${JSON.stringify(broken)}`);
  return [
    row(`events, of ${keys} keys, a ${refusedEvery}th refused twice`, events, ''),
    row('in no order, events/s (median)', Math.round(median(rates.unordered)), ''),
    row('in order, events/s (median)', Math.round(median(rates.ordered)), ''),
    row('ratio', ratio.toFixed(2), '≥ 0.6'),
    row('keys in order, of first receipts', `${keys} of ${keys}, each round`, 'all'),
  ];
}

const row = (what, value, goal) => ({ what, value, goal });

function configOf(databaseUrl, url) {
  const retry = { initialInterval: '100ms', backoffCoefficient: 1, jitter: 0 };
  const destination = (name) => ({ type: 'http', url: `${url}${name}`, retry, ordering: orderings[name] });
  return parseConfig(
    JSON.stringify({
      name: databaseUrl.split('/').pop().replace('_', '-'),
      destinations: Object.fromEntries(lanes.map((name) => [name, destination(name)])),
      routes: lanes.map((name) => ({ match: `${name}.*`, to: [name] })),
    }),
  ).config;
}

const orderings = { unordered: 'none', ordered: 'key' };

/** Fills the paused lane, then lets it go: from that moment to the last settled row. */
async function drain(pool, receiver, lane, each) {
  await pool.query('update outbox.destinations set paused_at = now() where name = $1', [lane]);
  for (let n = 1; n <= each; n++) {
    await pool.query(
      `insert into outbox.events (type, key, payload)
       select $1::text || '.created', 'k' || k,
              jsonb_build_object('key', 'k' || k, 'n', $2::int, 'refused', (k + $2) % $4 = 0, 'note', repeat('x', 180))
       from generate_series(1, $3::int) k`,
      [lane, n, keys, refusedEvery],
    );
  }
  await receiver.told(lane, true);
  const startedAt = performance.now();
  await pool.query('update outbox.destinations set paused_at = null where name = $1', [lane]);
  const left = 'select exists (select from outbox.deliveries where destination = $1) as left';
  while ((await pool.query(left, [lane])).rows[0].left) await sleep(20);
  const rate = (each * keys * 1000) / (performance.now() - startedAt);
  return { rate, received: await receiver.told(lane, true) };
}

async function startReceiver() {
  const child = fork(new URL('./orderReceiver.mjs', import.meta.url).pathname);
  const [{ port }] = await once(child, 'message');
  return {
    url: `http://127.0.0.1:${port}/`,
    told: async (lane, forget) => {
      child.send({ lane: `/${lane}`, forget });
      const [answer] = await once(child, 'message');
      return answer;
    },
    end: () => child.kill(),
  };
}
