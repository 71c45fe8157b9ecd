/**
 * Events by the thousand to a broker that is killed three times, by processes of ours of which two are killed: read back by a client
 * that is not ours, nothing is missing, nothing is there that was not written, and what is there twice is bounded.
 * OUTBOX_TEST_VOLUME=kafka,nats runs it over these alone.
 */
import { expect, test } from 'vitest';
import { enqueue } from '../../../src/produce/enqueue.ts';
import { flushRows } from '../../chaos/bounds.ts';
import { onlyWithEverything } from '../../support/everything.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  spawnRun,
  type TestDatabase,
} from '../../support/index.ts';
import { brokers, type Stored } from './brokers.ts';

const keys = 400;
const inFlight = 2;
/** Of each portion, whom is killed once so many events are acknowledged. */
const kills = ['broker', 'run', 'broker', 'run', 'broker'] as const;

const chosen = process.env['OUTBOX_TEST_VOLUME'];

const count = 20_000;
const names = chosen?.split(',') ?? Object.keys(brokers);

test.for(names)(
  'to %s come 20000 events, while it is killed three times and run twice: none is missing, each key in order',
  { timeout: 900_000 },
  async (name, context) => {
    if (chosen === undefined) onlyWithEverything(context, 'brokers, killed');
    const { concurrency, require, launch } = brokers[name]!;
    require();
    const broker = await launch();
    atEnd(() => broker.stop());
    const place = await broker.place({ ordered: true });
    const database = await createTestDatabase();
    const destination = {
      ...place.settings,
      ordering: 'key',
      batch: { inFlight },
      circuit: { probeAfter: '1s', maximumProbeInterval: '2s' },
      retry: { initialInterval: '200ms', maximumInterval: '1s' },
    };
    await applyTestConfig(
      database,
      `destinations: { queue: ${JSON.stringify(destination)} }\nroutes: [{ match: '*', to: [queue] }]`,
    );
    const startedMs = Date.now();
    const runs = [1, 2].map(() => spawnRun({ databaseUrl: database.url }));
    const writing = write(database, count);
    for (const [index, whom] of kills.entries()) {
      await acknowledged(database, Math.floor((count * (index + 1)) / (kills.length + 1)));
      if (whom === 'broker') {
        await broker.kill9();
        await broker.start();
      } else {
        await runs.shift()?.kill('SIGKILL');
        runs.push(spawnRun({ databaseUrl: database.url }));
      }
    }
    const written = await writing;
    await eventually(
      async () =>
        expect(await database.rows('select state, count(*) from outbox.deliveries group by state')).toEqual(
          [],
        ),
      { timeout: 240_000, interval: 200 },
    );
    const doneMs = Date.now();
    await Promise.all(runs.map((run) => run.kill('SIGTERM')));

    const stored = await place.read();
    const repeats = firstsOf(stored, written);
    // What was under way to the broker; and for each process besides, two batches with answers that were not written yet.
    const [ofBroker, ofRun] = [inFlight * concurrency, inFlight * (concurrency + 2 * flushRows)];
    const bound = 3 * ofBroker + 2 * ofRun;
    console.log(
      `${name}: ${count} events in ${((doneMs - startedMs) / 1000).toFixed(0)} s with three kills of the broker and two of run; ${repeats} came twice, at most ${bound} may`,
    );
    expect(repeats).toBeLessThanOrEqual(bound);
  },
);

/** In transactions of 500, `n` counting up in each key; answers id by payload. */
async function write(database: TestDatabase, count: number): Promise<Map<string, string>> {
  const written = new Map<string, string>();
  while (written.size < count) {
    const payloads = Array.from({ length: 500 }, (_, index) => {
      const number = written.size + index;
      return { key: `käy-${number % keys}`, n: Math.floor(number / keys) };
    });
    const events = payloads.map((payload) => ({ type: 'order.created', key: payload.key, payload }));
    const ids = await enqueue(database.pool, events, { ownTransaction: true });
    for (const [index, { id }] of ids.entries()) written.set(nameOf(payloads[index]!), id);
  }
  return written;
}

async function acknowledged(database: TestDatabase, least: number): Promise<void> {
  await eventually(
    async () => {
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBeGreaterThanOrEqual(least);
    },
    { timeout: 240_000, interval: 50 },
  );
}

/** Checks each event's first coming, and answers how many more there were. */
function firstsOf(stored: readonly Stored[], written: ReadonlyMap<string, string>): number {
  const seen = new Map<string, string>();
  const next = new Map<string, number>();
  const wrong: string[] = [];
  for (const { id, body } of stored) {
    const event = JSON.parse(body) as { readonly key: string; readonly n: number };
    const name = nameOf(event);
    if (written.get(name) !== id) wrong.push(`${name} has id ${id}, not ${written.get(name)}`);
    if (seen.has(name)) continue;
    seen.set(name, id);
    const expected = next.get(event.key) ?? 0;
    if (event.n !== expected) wrong.push(`${name} came first where ${expected} was next`);
    next.set(event.key, event.n + 1);
  }
  for (const name of written.keys()) if (!seen.has(name)) wrong.push(`${name} is missing`);
  expect(wrong.slice(0, 20)).toEqual([]);
  return stored.length - seen.size;
}

const nameOf = ({ key, n }: { readonly key: string; readonly n: number }): string => `${key} ${n}`;
