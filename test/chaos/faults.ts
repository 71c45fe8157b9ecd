/** What goes wrong. Each fault begins, lasts, and mends itself; several overlap. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyMode, TcpProxy } from '../support/index.ts';
import { none, repeatsOfOurs, repeatsOfReceiver } from './bounds.ts';
import { canceller, roleLimit } from './databaseFaults.ts';
import type { Allowance, History } from './history.ts';
import type { OurProcess } from './processes.ts';
import type { Random } from './random.ts';
import { destinations, type Worker, type World } from './world.ts';

export interface Fault {
  readonly name: string;
  /** What it breaks. What is broken already is left alone: two faults must not mend each other. */
  readonly thing: unknown;
  readonly forMs: number;
  readonly allowed: Allowance;
  /** Resolves when it is mended. */
  readonly begin: () => Promise<void>;
}

/** For so long, and as long as what is planned lasts; each fault under way is mended before this resolves. */
export async function storm(
  world: World,
  history: History,
  random: Random,
  { forMs, planned }: { readonly forMs: number; readonly planned: readonly Fault[] },
): Promise<void> {
  history.note({ what: 'storm' });
  const endsAt = Date.now() + Math.max(forMs, ...planned.map((fault) => fault.forMs));
  const underWay = new Set<Promise<void>>();
  const busy = new Set<unknown>();
  const begin = ({ name, thing, forMs: lasts, allowed, begin: start }: Fault): void => {
    if (busy.has(thing)) return;
    busy.add(thing);
    history.note({ what: 'fault', fault: name, forMs: lasts, ...allowed });
    const over: Promise<void> = start().finally(() => {
      busy.delete(thing);
      underWay.delete(over);
    });
    underWay.add(over);
  };
  for (const fault of planned) begin(fault);
  while (Date.now() < endsAt) {
    begin(choose(world, random));
    await sleep(random.between(500, 3_000));
  }
  await Promise.all(underWay);
}

function choose(world: World, random: Random): Fault {
  const kind = random.weighted([
    [5, 'ours'],
    [3, 'our wire'],
    [2, 'receiver'],
    [3, 'receiver wire'],
    [2, 'producer'],
    [1, 'producers wire'],
    [1, 'bank wire'],
    [1.5, 'postgres'],
    [1.5, 'temporal'],
    [1.5, 'canceller'],
    [1, 'role limit'],
    [1.5, 'pooler'],
    [0.5, 'no lists'],
  ] as const);
  const pickFrom = <T>(things: readonly T[]): T => random.pick(things as [T, ...T[]]);
  switch (kind) {
    case 'ours':
      return processFault(pickFrom(world.ours), random, () => ours);
    case 'our wire': {
      const { name, postgres, temporal } = pickFrom(world.ours);
      const [to, wire] = random.pick([
        ['PostgreSQL', postgres],
        ['Temporal', temporal],
      ] as const);
      return wireFault(`${name} to ${to}`, wire, random, () => ours);
    }
    case 'receiver':
      return processFault(pickFrom(world.receivers), random, repeatsOfReceiver);
    case 'receiver wire': {
      const { name, wire } = pickFrom(world.receivers);
      return wireFault(`everybody to ${name}`, wire, random, repeatsOfReceiver);
    }
    case 'producer':
      return processFault(pickFrom(world.producers), random, () => none);
    case 'producers wire':
      return wireFault('producers to PostgreSQL', world.producersToPostgres, random, () => none);
    case 'bank wire':
      return wireFault('bank to PostgreSQL', world.bankToPostgres, random, repeatsOfReceiver);
    case 'canceller':
      return canceller(world, random.fork(`canceller ${random.next()}`), random.between(2_000, 15_000));
    case 'role limit':
      return roleLimit(world, random, random.between(1_000, 10_000));
    case 'pooler':
      return poolerFault(world, random);
    case 'no lists':
      return listsRefused(world, random.between(5_000, 20_000));
    default:
      return serverFault(world, kind, random.pick(['kill', 'stop']), random.between(200, 4_000));
  }
}

const ours = repeatsOfOurs(destinations.length);

export function serverFault(
  { servers }: World,
  which: keyof World['servers'],
  how: 'kill' | 'stop',
  forMs: number,
): Fault {
  const thing = servers[which];
  const name = `${which}: ${how}`;
  return { name, thing, forMs, allowed: ours, begin: () => thing.restart(how, forMs) };
}

/** Temporal's visibility refuses everybody. It reads its limits at its start, so it is stopped for a moment before and after. */
export function listsRefused({ servers }: World, forMs: number): Fault {
  const { temporal } = servers;
  return {
    name: 'temporal: lists no workflows',
    thing: temporal,
    forMs,
    allowed: ours,
    begin: async () => {
      await temporal.refuseLists(true);
      await sleep(forMs);
      await temporal.refuseLists(false);
    },
  };
}

/** Killed, or ended with its clients' transactions. Where there is none, a process that would stand behind it is ended in its place. */
export function poolerFault(world: World, random: Random): Fault {
  const { pooler } = world;
  if (pooler === undefined)
    return processFault(random.pick(world.ours as readonly [Worker, ...Worker[]]), random, () => ours);
  const how = random.pick(['SIGKILL', 'SIGINT'] as const);
  const forMs = random.between(0, 5_000);
  return {
    name: `pooler: ${how}`,
    thing: pooler,
    forMs,
    allowed: ours,
    begin: () => pooler.restart(how, forMs),
  };
}

/** Nobody answers there for a while: its circuit opens. */
export function receiverAway({ receivers }: World, destination: string, forMs: number): Fault {
  const thing = receivers.find((receiver) => receiver.destination === destination);
  if (thing === undefined) throw new Error(`there is no receiver ${destination}`);
  return {
    name: `${destination}: away`,
    thing,
    forMs,
    allowed: repeatsOfReceiver(forMs),
    begin: () => thing.restart('SIGKILL', forMs),
  };
}

function processFault(thing: OurProcess, random: Random, allow: (forMs: number) => Allowance): Fault {
  const what = random.weighted([
    [4, 'SIGKILL'],
    [2, 'SIGTERM'],
    [3, 'SIGSTOP'],
  ] as const);
  const name = `${thing.name}: ${what}`;
  if (what !== 'SIGSTOP') {
    const forMs = random.between(0, 3_000);
    return { name, thing, forMs, allowed: allow(forMs), begin: () => thing.restart(what, forMs) };
  }
  // Up to well past the age of claims, leases and workflow tasks.
  const forMs = random.between(500, 25_000);
  return {
    name,
    thing,
    forMs,
    allowed: allow(forMs),
    begin: async () => {
      thing.signal('SIGSTOP');
      await sleep(forMs);
      thing.signal('SIGCONT');
    },
  };
}

function wireFault(
  from: string,
  thing: TcpProxy,
  random: Random,
  allow: (forMs: number) => Allowance,
): Fault {
  const mode = random.pick<ProxyMode>([
    'refuse',
    'reset',
    'blackhole',
    'drop-reply',
    { delayMs: random.between(50, 1_500) },
    { cutAfter: random.between(100, 20_000) },
  ]);
  const forMs = random.between(300, 12_000);
  return {
    name: `${from}: ${typeof mode === 'string' ? mode : JSON.stringify(mode)}`,
    thing,
    forMs,
    allowed: allow(forMs),
    begin: async () => {
      await thing.become(mode);
      await sleep(forMs);
      await thing.become('pass');
    },
  };
}
