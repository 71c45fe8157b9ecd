/**
 * A process dies at every step between claim and acknowledgement, between parking and waiting, in a command, in the reconciler; another
 * one takes over. Each named place is reached for certain: the dying process says which it was.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { failpoints, type Failpoint } from '../../src/failpoints.ts';
import { flushRows } from '../chaos/bounds.ts';
import { createRedrives } from '../../src/redrive/index.ts';
import { everything, onlyWithEverything } from '../support/everything.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  startRun,
  temporalClient,
  type Receiver,
  type SpawnedRun,
  type TestDatabase,
} from '../support/index.ts';
import { connectionsGone, drained, keysOf, unacknowledged, writeEvents } from './drain.ts';

const events = 150;
/** Everything a crash can repeat: requests under way, and two flushes of answers (docs/how-it-works.md). */
const bound = 50 + 2 * flushRows;

interface Stage {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
}

/** What a scenario came to; its test looks at it. */
interface Outcome extends Stage {
  readonly victim: SpawnedRun;
  readonly ids: readonly string[];
  /** Arrived before the death, and not acknowledged. */
  readonly open: number;
  readonly repeats: number;
}

type Scenario = (point: Failpoint) => Promise<Outcome>;

async function stage(answer: number): Promise<Stage> {
  const receiver = await startReceiver({ answer: ({ attempt }) => (attempt > 1 ? 204 : answer) });
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', batch: { splitUpTo: 0 }, retry: { initialInterval: 1h }, circuit: { enabled: false } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return { database, receiver };
}

async function startVictim({ database }: Stage, point: Failpoint): Promise<SpawnedRun> {
  const env = { OUTBOX_FAILPOINTS: `${point}=exit`, OUTBOX_FAILPOINTS_ALLOWED: 'crash-test' };
  const victim = spawnRun({ databaseUrl: database.url, env });
  await eventually(() => expect(victim.stdout()).toContain('relay started'), { timeout: 60_000 });
  return victim;
}

async function death({ database, receiver }: Stage, victim: SpawnedRun): Promise<void> {
  await victim.ended;
  await connectionsGone(database.pool);
  // What was still in the sockets.
  for (let before = -1; before !== receiver.requests.length;) {
    before = receiver.requests.length;
    await sleep(1_000);
  }
}

/** Dies while it delivers; what had arrived unacknowledged comes again, and nothing else. */
const delivering: Scenario = async (point) => {
  const place = await stage(204);
  const victim = await startVictim(place, point);
  const ids = await writeEvents(place.database.pool, events);
  await death(place, victim);
  const open = await unacknowledged(place.database.pool, place.receiver);
  await startRun({ databaseUrl: place.database.url });
  const repeats = await drained(place.database.pool, place.receiver, ids);
  return { ...place, victim, ids, open, repeats };
};

/** Dies while it parks; all are parked once, each under its workflow, and a command reaches every one. */
const parking: Scenario = async (point) => {
  const place = await stage(422);
  const victim = await startVictim(place, point);
  const ids = await writeEvents(place.database.pool, 10);
  await death(place, victim);
  const parkedBefore = await openLetters(place.database);
  await startRun({ databaseUrl: place.database.url });
  await eventually(async () => expect(await openLetters(place.database)).toBe(ids.length), {
    timeout: 60_000,
  });
  const repeats = place.receiver.requests.length - ids.length;
  const open = parkedBefore > 0 ? 0 : ids.length;
  place.receiver.answer(204);
  await resolveAll(place.database);
  await drained(place.database.pool, place.receiver, ids);
  return { ...place, victim, ids, open, repeats };
};

/** Dies over a command; it is carried out once. */
const resolving: Scenario = async (point) => {
  const place = await stage(422);
  const first = await startRun({ databaseUrl: place.database.url });
  const ids = await writeEvents(place.database.pool, 1);
  await eventually(async () => expect(await openLetters(place.database)).toBe(1));
  await first.stop();
  const victim = await startVictim(place, point);
  place.receiver.answer(204);
  await resolveAll(place.database);
  await death(place, victim);
  await startRun({ databaseUrl: place.database.url });
  await drained(place.database.pool, place.receiver, ids);
  return { ...place, victim, ids, open: 1, repeats: place.receiver.requests.length - ids.length };
};

/** Dies over a step of a redrive; each letter goes once. */
const redriving: Scenario = async (point) => {
  const place = await stage(422);
  const first = await startRun({ databaseUrl: place.database.url });
  const ids = await writeEvents(place.database.pool, 10);
  await eventually(async () => expect(await openLetters(place.database)).toBe(ids.length));
  await first.stop();
  const client = await temporalClient();
  const { pool, name } = place.database;
  const redrives = createRedrives({ db: pool, name, temporal: { client, address: 'the test server' } });
  const { redrive } = await redrives.preview({ destination: 'billing', steps: [4], maxFailures: 1 });
  place.receiver.answer(204);
  const before = place.receiver.requests.length;
  const victim = await startVictim(place, point);
  await redrives.start(redrive.id, { actor: 'test' });
  await death(place, victim);
  await startRun({ databaseUrl: place.database.url });
  await drained(place.database.pool, place.receiver, ids);
  return { ...place, victim, ids, open: 10, repeats: place.receiver.requests.length - before - ids.length };
};

/** Somebody else died after its claim; the victim dies over the repair. */
const recovering: Scenario = async (point) => {
  const place = await stage(204);
  const ids = await writeEvents(place.database.pool, 10);
  const dead = '00000000-0000-4000-8000-000000000001';
  await place.database.pool.query(`select outbox.hold_lanes($1, 'dead', '1 ms')`, [dead]);
  await place.database.pool.query(`update outbox.lanes set lease_until = now() + interval '1 s'`);
  await place.database.pool.query(`select outbox.claim($1, '{billing}', '{0}', '1 s')`, [dead]);
  await place.database.pool.query(`update outbox.batches set claimed_at = now() - interval '1 min'`);
  const victim = await startVictim(place, point);
  await death(place, victim);
  await startRun({ databaseUrl: place.database.url });
  const repeats = await drained(place.database.pool, place.receiver, ids);
  return { ...place, victim, ids, open: 0, repeats };
};

/** A retrying batch's workflow is terminated; the victim parks what it held and dies before it starts another workflow. */
const parkingForSomebody: Scenario = async (point) => {
  const place = await stage(500);
  const first = await startRun({ databaseUrl: place.database.url });
  const ids = await writeEvents(place.database.pool, 10);
  const [workflowId = ''] = await eventually(async () => {
    const rows = await place.database.rows<{ id: string }>(
      `select workflow_id as id from outbox.batches where not active`,
    );
    expect(rows).toHaveLength(1);
    return rows.map(({ id }) => id);
  });
  await first.stop();
  const victim = await startVictim(place, point);
  await (await temporalClient()).workflow.getHandle(workflowId).terminate('test');
  await death(place, victim);
  expect(await openLetters(place.database)).toBe(ids.length);
  await startRun({ databaseUrl: place.database.url });
  await resolveAll(place.database);
  await drained(place.database.pool, place.receiver, ids);
  return { ...place, victim, ids, open: ids.length, repeats: place.receiver.requests.length - ids.length };
};

async function openLetters({ rows }: TestDatabase): Promise<number> {
  return (await rows('select 1 from outbox.dead_letters where resolved_at is null')).length;
}

/** By signal, and the same command twice. A workflow may have yet to be made again. */
async function resolveAll(database: TestDatabase): Promise<void> {
  const client = await temporalClient();
  const workflows = await database.rows<{ id: string }>(
    'select distinct workflow_id as id from outbox.dead_letters where resolved_at is null',
  );
  for (const { id } of workflows) {
    const command = { actor: 'test', commandId: `retry ${id}` };
    for (let time = 0; time < 2; time++)
      await eventually(() => client.workflow.getHandle(id).signal('retry', command), {
        timeout: 60_000,
        interval: 250,
      });
  }
}

const scenarios = {
  'after-claim': delivering,
  'before-start': delivering,
  'after-start': delivering,
  'after-load': delivering,
  'after-send': delivering,
  'before-flush': delivering,
  'after-flush': delivering,
  'before-failures': parking,
  'after-failures': parking,
  'before-finish': delivering,
  'after-finish': parking,
  'before-resolve': resolving,
  'after-resolve': resolving,
  'before-redrive': redriving,
  'after-redrive': redriving,
  'after-look': recovering,
  'after-park': parkingForSomebody,
  'before-restart': recovering,
} as const satisfies Record<Failpoint, Scenario>;

/** One of each scenario; and two at which nothing, or all, was sent. */
const usual: readonly Failpoint[] = [
  'after-claim',
  'after-send',
  'before-failures',
  'before-resolve',
  'after-redrive',
  'after-look',
  'after-park',
];
const all = Object.keys(failpoints) as Failpoint[];
const points = everything ? all : usual;
const outcomes = new Map<Failpoint, Promise<Outcome>>();
const atOnce = 6;

/** They mostly wait for others' time limits: side by side, a few at a time. */
beforeAll(async () => {
  const lanes: Promise<unknown>[] = Array.from({ length: atOnce }, () => Promise.resolve());
  points.forEach((point, number) => {
    const outcome = (lanes[number % atOnce] ?? Promise.resolve()).then(() => scenarios[point](point));
    outcomes.set(point, outcome);
    lanes[number % atOnce] = outcome.catch(() => undefined);
  });
  await Promise.all(lanes);
}, 280_000);

test.for(all)('a process that dies at %s loses nothing', { timeout: 240_000 }, async (point, context) => {
  if (!points.includes(point)) onlyWithEverything(context, 'kills by the dozen');
  const outcome = await outcomes.get(point);
  if (outcome === undefined) throw new Error('no scenario');
  const { victim, receiver, ids, database, open, repeats } = outcome;
  expect(await victim.ended).toEqual({ code: null, signal: 'SIGKILL' });
  expect(victim.stderr()).toContain(`failpoint ${point}: exit`);
  expect([...keysOf(receiver).keys()].sort()).toEqual(ids.map((id) => `billing/${id}`).sort());
  expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(ids.length);
  console.log(`${point}: ${repeats} of ${ids.length} sent again`);
  expect(repeats).toBeLessThanOrEqual(bound);
  if (scenarios[point] === delivering || scenarios[point] === parking) expect(repeats).toBe(open);
  if (['after-claim', 'before-start', 'after-load'].includes(point)) expect(repeats).toBe(0);
  // Before the end of an attempt all acknowledgements may have been flushed already.
  if (['after-send', 'before-flush', 'before-failures'].includes(point)) expect(repeats).toBeGreaterThan(0);
  const done = await database.rows(`select command_id from outbox.audit where outcome = 'done'`);
  expect(done.length).toBe(new Set(done.map((line) => line['command_id'])).size);
  const letters = await database.rows<{ n: number }>(
    'select count(*)::int as n from outbox.dead_letters group by event_id, destination',
  );
  expect(letters.every(({ n }) => n === 1)).toBe(true);
});
