/** A run: storms and calms, producers and a person at work all the while, then the sums. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { enqueue } from '../../src/produce/enqueue.ts';
import { uuid7 } from '../../src/halfMessages/message.ts';
import { checkAll, type Check } from './checkers.ts';
import {
  acknowledgedAt,
  auditLines,
  effects,
  eventIds,
  facts,
  failedAttempts,
  left,
  letters,
  ourConnections,
  redrives,
  unsettledBefore,
} from './database.ts';
import { storm } from './faults.ts';
import { figures, type Figures } from './figures.ts';
import { all, openHistory, type History, type Patience } from './history.ts';
import { startPerson } from './operator.ts';
import { rssMiB } from './processes.ts';
import { programmeOf, take, type Wishes } from './programme.ts';
import { seeded } from './random.ts';
import { repeatsOf } from './repeats.ts';
import { routes, startWorld, type Load, type World } from './world.ts';

export interface Plan extends Load, Wishes {
  readonly patience: Patience;
  readonly directory: string;
  readonly say: (line: string) => void;
}

export interface Report {
  readonly checks: readonly Check[];
  readonly facts: Figures;
  readonly historyPath: string;
}

const stormMs = { from: 15_000, to: 30_000 };
const endMs = 60_000;
const settleMs = 180_000;
const sampleMs = 2_000;

export async function runChaos(plan: Plan): Promise<Report> {
  const { seed, durationMs, patience, directory, say } = plan;
  const random = seeded(seed);
  const history = openHistory(join(directory, 'history.jsonl'));
  history.note({ what: 'run', seed, patience, routes });
  const world = await startWorld(directory, history, plan);
  const state = { calm: true };
  const sampling = sampler(world, history, state);
  const person = startPerson(world, history, random.fork('person'));
  say(
    `seed ${seed}: ${world.producers.map(({ name }) => name).join(', ')} write; history in ${history.path}`,
  );

  const storms = random.fork('storms');
  await heal(world, history, patience);
  const startedAt = Date.now();
  const programme = programmeOf(plan, world, random.fork('programme'));
  while (Date.now() - startedAt < durationMs || programme.length > 0) {
    const leftMs = Math.max(durationMs - (Date.now() - startedAt), stormMs.from);
    const due = take(programme, (Date.now() - startedAt) / durationMs);
    for (const act of due) if ('between' in act) await act.between(history);
    state.calm = false;
    await storm(world, history, storms, {
      forMs: Math.min(storms.between(stormMs.from, stormMs.to), leftMs),
      planned: due.flatMap((act) => ('fault' in act ? [act.fault] : [])),
    });
    const tookMs = await heal(world, history, patience);
    state.calm = true;
    await sleep(2 * sampleMs);
    say(progress(history, startedAt + durationMs, tookMs));
  }
  await endWriting(world, history);
  const settledMs = await settle(world);
  await person.stop();
  await sampling.stop();
  await world.journals.stop();
  await sumUp(world, history);
  const checks = checkAll(history.entries);
  await history.close();
  return { checks, facts: figures(history.entries, settledMs), historyPath: history.path };
}

/** Everything works again by now: what was written before must be settled, and an event written now must arrive. Answers when that is. */
async function heal(
  { databases: { outbox } }: World,
  history: History,
  { healMs }: Patience,
): Promise<number> {
  const probe = uuid7();
  history.note({
    what: 'intent',
    tx: probe,
    events: [{ id: probe, type: 'order.created', key: 'probe', number: 0 }],
  });
  const client = await outbox.connect();
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
    routes['order.created'].every((destination) => history.arrived(destination, probe));
  let settled = false;
  while (!settled && Date.now() - startedAt < healMs) {
    await sleep(250);
    settled = arrived() && (await unsettledBefore(outbox, startedAt)) === 0;
  }
  const afterMs = Date.now() - startedAt;
  history.note({ what: 'calm', afterMs: settled ? afterMs : null });
  return afterMs;
}

/** Producers stay, as one of them answers check-backs. */
async function endWriting({ producers }: World, history: History): Promise<void> {
  for (const producer of producers) producer.signal('SIGUSR2');
  const deadline = Date.now() + endMs;
  while (all(history.entries, 'wrote').length < producers.length) {
    if (Date.now() > deadline) throw new Error('producers did not end within a minute');
    await sleep(100);
  }
}

/** Until nothing is left, or time is up. Answers how long it took. */
async function settle({ databases: { outbox } }: World): Promise<number> {
  const startedAt = Date.now();
  while (Date.now() - startedAt < settleMs) {
    if (Object.keys(await left(outbox)).length === 0) break;
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
      for (const process of world.ours) {
        const { name } = process;
        const id = process.pid();
        const mib = id === undefined ? null : await rssMiB(id);
        if (mib !== null) rss[name] = mib;
      }
      const connections = await ourConnections(world.databases.outbox).catch(() => 0);
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

async function sumUp({ databases, ours }: World, history: History): Promise<void> {
  const { outbox, bank } = databases;
  history.note({ what: 'rows', events: await eventIds(outbox), facts: await facts(databases) });
  history.note({ what: 'letters', letters: await letters(outbox) });
  history.note({ what: 'audit', lines: await auditLines(outbox) });
  history.note({ what: 'redrives', redrives: await redrives(outbox) });
  history.note({ what: 'attempts', failed: await failedAttempts(outbox) });
  history.note({ what: 'effects', ...(await effects(bank)) });
  const repeated = repeatsOf(history.entries).map(({ event }) => event);
  history.note({ what: 'delivered', times: await acknowledgedAt(outbox, repeated) });
  history.note({ what: 'left', deliveries: await left(outbox), processes: ours.length });
}

function progress({ entries }: History, endsAt: number, calmAfterMs: number): string {
  const count = (what: 'request' | 'fault' | 'command'): number => all(entries, what).length;
  const leftS = Math.max(Math.round((endsAt - Date.now()) / 1_000), 0);
  return `${count('fault')} faults, ${count('request')} requests, ${count('command')} commands; settled ${calmAfterMs} ms after healing; ${leftS} s left`;
}
