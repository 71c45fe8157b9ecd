/** A run: storms and calms, producers and a person at work all the while, then the sums. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { enqueue } from '../../src/produce/enqueue.ts';
import { checkAll, type Check } from './checkers.ts';
import { auditLines, eventIds, facts, left, letters, ourConnections } from './database.ts';
import { storm } from './faults.ts';
import { all, openHistory, type History } from './history.ts';
import { startPerson } from './operator.ts';
import { findPsql, startNodeProducer, startPsqlProducer, uuid7, type Producer } from './producers.ts';
import { seeded } from './random.ts';
import { routes, rssMiB, startWorld, type World } from './world.ts';

export interface Plan {
  readonly seed: number;
  /** Of storms and calms together; settling afterwards comes on top. */
  readonly durationMs: number;
  readonly eventsPerSecond: number;
  readonly directory: string;
  readonly say: (line: string) => void;
}

export interface Report {
  readonly checks: readonly Check[];
  readonly facts: Readonly<Record<string, string | number>>;
  readonly historyPath: string;
}

const stormMs = { from: 15_000, to: 30_000 };
const probeMs = 60_000;
const settleMs = 180_000;
const sampleMs = 2_000;

export async function runChaos({ seed, durationMs, eventsPerSecond, directory, say }: Plan): Promise<Report> {
  const random = seeded(seed);
  const history = openHistory(join(directory, 'history.jsonl'));
  const world = await startWorld(directory, history, random.fork('receivers'));
  history.note({ what: 'run', seed, ordered: world.ordered, routes });
  const state = { calm: true };
  const sampling = sampler(world, history, state);
  const producers = startProducers(world, history, eventsPerSecond, random);
  const person = startPerson(world, history, random.fork('person'));
  say(`seed ${seed}: ${producers.map(({ name }) => name).join(', ')} write; history in ${history.path}`);

  const storms = random.fork('storms');
  await heal(world, history);
  const endsAt = Date.now() + durationMs;
  while (Date.now() < endsAt) {
    state.calm = false;
    await storm(
      world,
      history,
      storms,
      Math.min(storms.between(stormMs.from, stormMs.to), endsAt - Date.now()),
    );
    const tookMs = await heal(world, history);
    state.calm = true;
    await sleep(2 * sampleMs);
    say(progress(history, endsAt, tookMs));
  }
  await Promise.all(producers.map((producer) => producer.stop()));
  const settledMs = await settle(world);
  await person.stop();
  await sampling.stop();
  await sumUp(world, history);
  const checks = checkAll(history.entries);
  await history.close();
  return { checks, facts: figures(world, history, settledMs), historyPath: history.path };
}

function startProducers(
  world: World,
  history: History,
  perSecond: number,
  random: ReturnType<typeof seeded>,
) {
  const url = new URL(world.databaseUrl);
  url.host = world.producers.address;
  const psql = findPsql();
  const names = ['node-1', 'node-2', psql === undefined ? 'node-3' : 'psql'];
  return names.map((name): Producer => {
    const eventsPerSecond = perSecond / names.length;
    const settings = { name, url: url.href, eventsPerSecond, history, random: random.fork(name) };
    return name === 'psql' && psql !== undefined
      ? startPsqlProducer(psql, settings)
      : startNodeProducer(settings);
  });
}

/** Everything works again by now: an event written now must arrive. Answers how long it took. */
async function heal({ admin }: World, history: History): Promise<number> {
  const probe = uuid7();
  const event = { id: probe, type: 'order.created', key: 'probe', number: 0 };
  history.note({ what: 'intent', tx: probe, events: [event] });
  const client = await admin.connect();
  try {
    await client.query('begin');
    await client.query('insert into chaos.facts values ($1)', [probe]);
    await enqueue(client, { id: probe, type: 'order.created', payload: {} });
    await client.query('commit');
  } finally {
    client.release();
  }
  history.note({ what: 'outcome', tx: probe, outcome: 'committed' });
  history.note({ what: 'healed', probe });
  const startedAt = Date.now();
  const arrived = (): boolean =>
    routes['order.created'].every((destination) =>
      history.entries.some(
        (entry) =>
          entry.what === 'request' &&
          entry.event === probe &&
          entry.destination === destination &&
          entry.status < 300,
      ),
    );
  while (!arrived() && Date.now() - startedAt < probeMs) await sleep(50);
  return Date.now() - startedAt;
}

/** Until nothing is left, or time is up. Answers how long it took. */
async function settle({ admin }: World): Promise<number> {
  const startedAt = Date.now();
  while (Date.now() - startedAt < settleMs) {
    if (Object.keys(await left(admin)).length === 0) break;
    await sleep(500);
  }
  return Date.now() - startedAt;
}

function sampler(world: World, history: History, state: { readonly calm: boolean }) {
  let stopping = false;
  const working = (async () => {
    while (!stopping) {
      await sleep(sampleMs);
      const rss: Record<string, number> = {};
      for (const process of world.processes) {
        const { name } = process;
        const id = process.pid();
        const mib = id === undefined ? null : await rssMiB(id);
        if (mib !== null) rss[name] = mib;
      }
      const connections = await ourConnections(world.admin).catch(() => 0);
      history.note({ what: 'sample', calm: state.calm, connections, rssMiB: rss });
    }
  })();
  return {
    stop: async () => {
      stopping = true;
      await working;
    },
  };
}

async function sumUp({ admin, processes }: World, history: History): Promise<void> {
  history.note({ what: 'rows', events: await eventIds(admin), facts: await facts(admin) });
  history.note({ what: 'letters', letters: await letters(admin) });
  history.note({ what: 'audit', lines: await auditLines(admin) });
  history.note({ what: 'left', deliveries: await left(admin), processes: processes.length });
}

function progress({ entries }: History, endsAt: number, probeTookMs: number): string {
  const count = (what: 'request' | 'fault' | 'command'): number => all(entries, what).length;
  const leftS = Math.max(Math.round((endsAt - Date.now()) / 1_000), 0);
  return `${count('fault')} faults, ${count('request')} requests, ${count('command')} commands; probe arrived after ${probeTookMs} ms; ${leftS} s left`;
}

function figures({ ordered }: World, { entries }: History, settledMs: number): Report['facts'] {
  const requests = all(entries, 'request');
  const samples = all(entries, 'sample');
  const acknowledged = requests.filter(({ status }) => status < 300);
  const events = all(entries, 'rows').flatMap((rows) => rows.events).length;
  const unknown = all(entries, 'outcome').filter(({ outcome }) => outcome === 'unknown').length;
  const probes = all(entries, 'healed').map(({ at, probe }) => {
    const arrivals = routes['order.created'].flatMap((destination) => {
      const first = acknowledged.find((each) => each.event === probe && each.destination === destination);
      return first === undefined ? [] : [first.at - at];
    });
    return arrivals.length < routes['order.created'].length ? Infinity : Math.max(...arrivals);
  });
  return {
    events,
    'transactions of unknown outcome': unknown,
    faults: all(entries, 'fault').length,
    requests: requests.length,
    'acknowledged more than once': acknowledged.length - new Set(acknowledged.map(({ key }) => key)).size,
    'dead letters': all(entries, 'letters').flatMap((entry) => entry.letters).length,
    commands: all(entries, 'command').length,
    'slowest probe, ms': Math.max(...probes),
    'settled after, ms': settledMs,
    'largest process, MiB': Math.max(...samples.flatMap(({ rssMiB: rss }) => Object.values(rss))),
    'most connections, calm': Math.max(...samples.map(({ calm, connections }) => (calm ? connections : 0))),
    'order per key': ordered ? 'checked' : 'not in this version',
  };
}
