/** What goes wrong. Each fault begins, lasts, and mends itself; several overlap. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyMode, TcpProxy } from '../support/index.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

interface Fault {
  readonly name: string;
  readonly forMs: number;
  /** Resolves when it is mended. */
  begin(): Promise<void>;
}

/** For so long; each fault under way is mended before this resolves. */
export async function storm(world: World, history: History, random: Random, forMs: number): Promise<void> {
  const endsAt = Date.now() + forMs;
  const underWay = new Set<Promise<void>>();
  /** What is broken already is left alone: two faults must not mend each other. */
  const busy = new Set<unknown>();
  while (Date.now() < endsAt) {
    const { thing, fault } = choose(world, random);
    if (!busy.has(thing)) {
      busy.add(thing);
      history.note({ what: 'fault', fault: fault.name, forMs: fault.forMs });
      const over: Promise<void> = fault.begin().finally(() => {
        busy.delete(thing);
        underWay.delete(over);
      });
      underWay.add(over);
    }
    await sleep(random.between(500, 3_000));
  }
  await Promise.all(underWay);
}

function choose(world: World, random: Random): { thing: unknown; fault: Fault } {
  const kind = random.weighted([
    [5, 'process'],
    [3, 'process wire'],
    [3, 'receiver wire'],
    [1, 'producer wire'],
    [1.5, 'postgres'],
    [1.5, 'temporal'],
  ] as const);
  switch (kind) {
    case 'process': {
      const thing = random.pick(world.processes as [World['processes'][0]]);
      return { thing, fault: processFault(thing, random) };
    }
    case 'process wire': {
      const { name, postgres, temporal } = random.pick(world.processes as [World['processes'][0]]);
      const [to, thing] = random.pick([
        ['PostgreSQL', postgres],
        ['Temporal', temporal],
      ] as const);
      return { thing, fault: wireFault(`${name} to ${to}`, thing, random) };
    }
    case 'receiver wire': {
      const names = Object.keys(world.receivers) as [string];
      const name = random.pick(names);
      const thing = world.receivers[name] as TcpProxy;
      return { thing, fault: wireFault(`everybody to ${name}`, thing, random) };
    }
    case 'producer wire':
      return { thing: world.producers, fault: wireFault('producers to PostgreSQL', world.producers, random) };
    default: {
      const thing = world.servers[kind];
      const how = random.pick(['kill', 'stop'] as const);
      const forMs = random.between(200, 4_000);
      return { thing, fault: { name: `${kind}: ${how}`, forMs, begin: () => thing.restart(how, forMs) } };
    }
  }
}

function processFault(process: World['processes'][0], random: Random): Fault {
  const what = random.weighted([
    [4, 'SIGKILL'],
    [2, 'SIGTERM'],
    [3, 'SIGSTOP'],
  ] as const);
  if (what !== 'SIGSTOP') {
    const forMs = random.between(0, 3_000);
    return { name: `${process.name}: ${what}`, forMs, begin: () => process.restart(what, forMs) };
  }
  // Up to well past the age of claims, leases and workflow tasks.
  const forMs = random.between(500, 25_000);
  return {
    name: `${process.name}: SIGSTOP`,
    forMs,
    begin: async () => {
      process.signal('SIGSTOP');
      await sleep(forMs);
      process.signal('SIGCONT');
    },
  };
}

function wireFault(name: string, wire: TcpProxy, random: Random): Fault {
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
    name: `${name}: ${typeof mode === 'string' ? mode : JSON.stringify(mode)}`,
    forMs,
    begin: async () => {
      await wire.become(mode);
      await sleep(forMs);
      await wire.become('pass');
    },
  };
}
