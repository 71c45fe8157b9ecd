/** The type as a part of a whole outbox: embedded PostgreSQL, Temporal, relay and worker. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { parseConfig } from '../../../config/load.ts';
import { enqueue } from '../../../produce/enqueue.ts';
import { run } from '../../../run.ts';
import { applyConfig } from '../../../storage/configuration.ts';
import { connect, type Pool } from '../../../storage/connect.ts';
import { migrate } from '../../../storage/migrate.ts';
import { startServers } from '../../../embedded/index.ts';
import { firstReceipts } from '../expecting.ts';
import type { Topic } from '../harness.ts';
import type { Row } from '../row.ts';
import { ownTypes, type Play } from '../stage.ts';

/** Servers that the row about a whole outbox uses. */
export interface OutboxServers {
  /** A database of its own, empty; a superuser's or a migrator's connection string. */
  readonly databaseUrl: string;
  /** `host:port` */
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
}

const keys = 10;

/** @param servers default: embedded ones, started for the row */
export function circuit(servers?: () => Promise<OutboxServers>): Row {
  return {
    timeoutMs: 300_000,
    async play(play) {
      const topic = await play.server.topic();
      const { pool } = await outboxFor(play, topic, await (servers ?? embedded(play))());
      const before = await write(pool, 100);
      await delivered(play, pool);
      const heal = await play.outage();
      const during = await write(pool, 200);
      await play.eventually(async () => assert.equal(await standing(pool), 'open', 'the circuit'));
      assert.equal(await charged(pool), 0, 'attempts that the outage cost');
      await heal();
      await delivered(play, pool);
      await play.eventually(async () => assert.equal(await standing(pool), 'closed', 'the circuit'));
      await expectAll(play, topic, [...before, ...during]);
      const parked = await pool.query('select last_error from outbox.dead_letters');
      assert.deepEqual(parked.rows, [], 'dead letters');
    },
  };
}

function embedded(play: Play): () => Promise<OutboxServers> {
  return async () => {
    const servers = await startServers({ headless: true });
    const { postgres, temporal } = servers;
    play.atEnd(() => servers.stop());
    return {
      databaseUrl: postgres.url,
      temporalAddress: temporal.address,
      temporalNamespace: temporal.namespace,
    };
  };
}

async function outboxFor(
  play: Play,
  topic: Topic,
  { databaseUrl, temporalAddress, temporalNamespace }: OutboxServers,
): Promise<{ readonly pool: Pool }> {
  const pool = connect(databaseUrl, { max: 2 });
  play.atEnd(() => pool.end());
  await migrate(pool);
  const { type } = play.harness;
  const env = { ...process.env, ...topic.env?.(play.wire.address) };
  const text = JSON.stringify({
    name: `conformance-${randomBytes(4).toString('hex')}`,
    destinations: {
      subject: {
        type: type.name,
        timeout: '2s',
        ordering: 'key',
        retry: { initialInterval: '100ms', maximumInterval: '1s' },
        circuit: { probeAfter: '200ms', maximumProbeInterval: '1s', minimumRequests: 5 },
        ...topic.settings(play.wire.address),
      },
    },
    routes: [{ match: '*', to: ['subject'] }],
  });
  const destinationTypes = ownTypes(type);
  await applyConfig(pool, parseConfig(text, { env, destinationTypes }).config, text, 'conformance');
  const silent = (): void => undefined;
  const running = await run({
    databaseUrl,
    temporal: { address: temporalAddress, namespace: temporalNamespace, ignoreEnvironment: true },
    log: { debug: silent, info: silent, warn: silent, error: silent },
    shutdownGraceMs: 1_000,
    destinationTypes,
    env,
  });
  play.atEnd(() => running.stop());
  return { pool };
}

interface Written {
  readonly id: string;
  readonly key: string;
}

/** In ten keys, each in the order of these. */
async function write(pool: Pool, count: number): Promise<Written[]> {
  const events = Array.from({ length: count }, (_, n) => ({
    type: 'order.created',
    key: `key-${n % keys}`,
    payload: { n },
  }));
  const written: Written[] = [];
  // One at a time per key: what is written together has no order but that of its ids.
  for (let from = 0; from < count; from += keys) {
    const part = events.slice(from, from + keys);
    const enqueued = await enqueue(pool, part, { ownTransaction: true });
    enqueued.forEach(({ id }, index) => written.push({ id, key: part[index]!.key }));
  }
  return written;
}

async function delivered(play: Play, pool: Pool): Promise<void> {
  await play.eventually(async () => {
    const { rows } = await pool.query('select count(*)::int as left from outbox.deliveries');
    assert.deepEqual(rows, [{ left: 0 }], 'deliveries that are left');
  });
}

async function standing(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ state: string }>('select state from outbox.circuits');
  return rows[0]?.state ?? 'closed';
}

async function charged(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ most: number | null }>(
    'select max(attempts) as most from outbox.deliveries',
  );
  return rows[0]?.most ?? 0;
}

async function expectAll(play: Play, topic: Topic, written: readonly Written[]): Promise<void> {
  const received = await play.eventually(async () => {
    const all = await topic.read();
    const ids = new Set(all.map(({ id }) => id));
    assert.equal(written.filter(({ id }) => !ids.has(id)).length, 0, 'events that did not arrive');
    return all;
  });
  const receipts = firstReceipts(received);
  assert.equal(receipts.length, written.length, 'what arrived and was not written');
  const keyOf = new Map(written.map(({ id, key }) => [id, key]));
  for (const key of new Set(written.map((each) => each.key)))
    assert.deepEqual(
      receipts.filter((id) => keyOf.get(id) === key),
      written.filter((each) => each.key === key).map(({ id }) => id),
      `the order of ${key}`,
    );
}
