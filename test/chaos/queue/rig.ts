/** A run from the producer's transaction to the consumer's: one fault after another, then the sums. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listParked, resolveParked } from '../../../src/inbox/parked.ts';
import { openHistory } from '../history.ts';
import { seeded, type Random } from '../random.ts';
import { sumsOf, type Fact, type Sums } from './sums.ts';
import { startQueueWorld, type QueueWorld } from './world.ts';

export interface QueuePlan {
  readonly seed: number;
  readonly durationMs: number;
  readonly eventsPerSecond: number;
  readonly directory: string;
  readonly settleMs: number;
  readonly say: (line: string) => void;
}

export interface QueueReport {
  readonly sums: Sums;
  readonly written: number;
  readonly effects: number;
  readonly faults: Readonly<Record<string, number>>;
  /** What a person had to retry: killed with its process twice. */
  readonly retried: number;
  readonly settledMs: number;
}

const betweenMs = { from: 1_500, to: 6_000 };

export async function runQueueChaos(plan: QueuePlan): Promise<QueueReport> {
  const random = seeded(plan.seed);
  const history = openHistory(join(plan.directory, 'history.jsonl'));
  const world = await startQueueWorld(plan.directory, history, plan);
  const startedAt = Date.now();
  const counts: Record<string, number> = {};
  // Each once before one comes again.
  let bag: Named[] = [];
  while (Date.now() - startedAt < plan.durationMs) {
    await sleep(random.between(betweenMs.from, betweenMs.to));
    if (bag.length === 0) bag = shuffled(faultsOf(world, random), random);
    const [name, fault] = bag.pop()!;
    counts[name] = (counts[name] ?? 0) + 1;
    history.note({ what: 'fault', fault: name, forMs: 0, repeats: 0, late: 0 });
    await fault();
    plan.say(`${Math.round((Date.now() - startedAt) / 1000)} s: ${name}`);
  }
  await endWriting(world, plan.settleMs);
  const endedAt = Date.now();
  const retried = await settle(world, endedAt + plan.settleMs);
  const settledMs = Date.now() - endedAt;
  const written = await writtenIn(world);
  const effects = await effectsIn(world);
  await history.close();
  const sums = sumsOf(written, effects);
  return { sums, written: written.length, effects: effects.length, faults: counts, retried, settledMs };
}

type Named = readonly [name: string, fault: () => Promise<unknown>];

function shuffled(faults: readonly Named[], random: Random): Named[] {
  const placed = faults.map((fault) => [random.next(), fault] as const);
  return placed.toSorted(([one], [other]) => one - other).map(([, fault]) => fault);
}

function faultsOf(world: QueueWorld, random: Random): readonly Named[] {
  const { broker, outbox, stock, temporal, runs, consumers, producers } = world;
  const one = <T>(of: readonly T[]): T => random.pick(of as readonly [T, ...T[]]);
  const pauseMs = random.between(200, 3_000);
  const signal = random.pick(['SIGKILL', 'SIGKILL', 'SIGTERM'] as const);
  const stoppedForAWhile = async (): Promise<void> => {
    const stopped = one(consumers);
    stopped.signal('SIGSTOP');
    await sleep(pauseMs * 2);
    stopped.signal('SIGCONT');
  };
  return [
    [
      'the broker, killed',
      () =>
        broker
          .kill9()
          .then(() => sleep(pauseMs))
          .then(broker.start),
    ],
    ['a consumer, killed or ended', () => one(consumers).restart(signal, pauseMs)],
    ['both consumers, killed', () => Promise.all(consumers.map((each) => each.restart('SIGKILL', pauseMs)))],
    ['a consumer, stopped for a while', stoppedForAWhile],
    ["the consumers' database, killed", () => stock.restart('kill', pauseMs)],
    ['run, killed or ended', () => one(runs).restart(signal, pauseMs)],
    ["the outbox's database, killed", () => outbox.restart('kill', pauseMs)],
    ['Temporal, killed', () => temporal.restart('kill', pauseMs)],
    ['a producer, killed', () => one(producers).restart('SIGKILL', pauseMs)],
  ];
}

async function endWriting({ producers, pools }: QueueWorld, patienceMs: number): Promise<void> {
  for (const producer of producers) producer.signal('SIGTERM');
  await Promise.all(producers.map((producer) => producer.stop()));
  const deadline = Date.now() + patienceMs;
  while ((await countOf(pools.outbox, 'outbox.deliveries').catch(() => 1)) > 0) {
    if (Date.now() > deadline) throw new Error('the outbox was not drained');
    await sleep(300);
  }
}

/** Until all that was written had its effect. What is parked a person retries; answers how much that was. */
async function settle({ pools }: QueueWorld, deadline: number): Promise<number> {
  const written = await countOf(pools.outbox, 'outbox.events');
  let retried = 0;
  for (;;) {
    for (const { id } of await listParked(pools.stock, { state: 'parked' })) {
      await resolveParked(pools.stock, id, { action: 'retry', actor: 'a person' });
      retried++;
    }
    // More than all of it for a while: what came twice comes then.
    if ((await countOf(pools.stock, 'effects')) >= written || Date.now() > deadline) break;
    await sleep(300);
  }
  await sleep(3_000);
  return retried;
}

async function countOf(pool: QueueWorld['pools']['outbox'], table: string): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(`select count(*)::int as n from ${table}`);
  return rows[0]?.n ?? 0;
}

async function writtenIn({ pools }: QueueWorld): Promise<Fact[]> {
  const { rows } = await pools.outbox.query<Fact>(
    `select id::text as event, key, (payload ->> 'number')::int as number from outbox.events`,
  );
  return rows;
}

async function effectsIn({ pools }: QueueWorld): Promise<Fact[]> {
  const { rows } = await pools.stock.query<Fact>('select event, key, number from effects order by at');
  return rows;
}
