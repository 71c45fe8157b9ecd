/** What happens in a run whatever its seed. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { repeatsOfOurs } from './bounds.ts';
import { canceller, roleLimit } from './databaseFaults.ts';
import { listsRefused, poolerFault, receiverAway, serverFault, type Fault } from './faults.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';
import { destinations, type World } from './world.ts';

/** A run of so long has what the promise names: two minutes without Temporal, and PostgreSQL killed. */
const longMs = 8 * 60_000;
const cli = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

export interface Wishes {
  /** Of storms and calms together; settling afterwards comes on top. */
  readonly durationMs: number;
  /** Half-way Temporal's whole store is deleted. */
  readonly wipe: boolean;
  /** After a third the database is copied, after two thirds it is set back to that. */
  readonly restore: boolean;
}

/** Something that is to happen once, at the latest in the storm that begins after `after` (0 to 1) of the run. */
export type Act = { readonly after: number } & (
  { readonly fault: Fault } | { between(history: History): Promise<void> }
);

export function programmeOf({ durationMs, wipe, restore }: Wishes, world: World, random: Random): Act[] {
  const long = durationMs >= longMs;
  const { postgres } = world.servers;
  const copy = async (history: History): Promise<void> => {
    noteFault(history, 'postgres: copied');
    await postgres.copy(() => history.note({ what: 'copied' }));
  };
  return [
    { after: 0, fault: receiverAway(world, 'billing', long ? 30_000 : 8_000) },
    ...(long
      ? [
          { after: 0.2, fault: serverFault(world, 'temporal', 'stop', 120_000) },
          { after: 0.5, fault: serverFault(world, 'postgres', 'kill', 2_000) },
          { after: 0.1, fault: canceller(world, random.fork('planned canceller'), 20_000) },
          { after: 0.35, fault: listsRefused(world, 25_000) },
          { after: 0.65, fault: roleLimit(world, random, 15_000) },
          { after: 0.75, fault: poolerFault(world, random) },
        ]
      : []),
    ...(wipe ? [{ after: 0.4, between: (history: History) => wipeTemporal(world, history) }] : []),
    ...(restore
      ? [
          { after: 0.3, between: copy },
          { after: 0.6, between: (history: History) => restoreDatabase(world, history) },
        ]
      : []),
  ];
}

/** Removes and answers what is due by now; of two acts between storms the second has to wait for the next one. */
export function take(programme: Act[], done: number): Act[] {
  const between = programme.find((act) => 'between' in act);
  const due = programme.filter((act) => act.after <= done && ('fault' in act || act === between));
  programme.splice(0, programme.length, ...programme.filter((act) => !due.includes(act)));
  return due;
}

/** Its store is deleted behind our processes, which go on for a while; then as docs/operating.md says. */
async function wipeTemporal(world: World, history: History): Promise<void> {
  noteFault(history, 'temporal: wiped');
  await world.servers.temporal.wipe();
  await sleep(10_000);
  await withoutOurs(world, () => doctor(world, '--adopt'));
}

async function restoreDatabase(world: World, history: History): Promise<void> {
  noteFault(history, 'postgres: set back to the copy');
  await withoutOurs(world, async () => {
    await world.servers.postgres.putBack();
    await doctor(world, '--restored');
    history.note({ what: 'restored' });
  });
}

function noteFault(history: History, fault: string): void {
  history.note({ what: 'storm' });
  history.note({ what: 'fault', fault, forMs: 0, ...repeatsOfOurs(destinations.length) });
}

async function withoutOurs({ ours }: World, work: () => Promise<void>): Promise<void> {
  await Promise.all(ours.map((process) => process.stop()));
  await work();
  for (const process of ours) process.start();
}

async function doctor({ databaseUrl, temporalAddress }: World, option: string): Promise<void> {
  await promisify(execFile)(process.execPath, [cli, 'doctor', option], {
    env: { ...process.env, OUTBOX_DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: temporalAddress },
  });
}
