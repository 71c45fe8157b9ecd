/** A database at work without Temporal: events written, batches claimed and opened as relay and worker would. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { claimBatches, claimRows, holdLanes, type ClaimedBatch } from '../../src/storage/claims.ts';
import { recordFailures, type BatchRun, type Chunk, type FailureRow } from '../../src/storage/attempts.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { readMigrations } from '../../src/storage/migrate.ts';
import { applyTestConfig, atEnd, createTestDatabase, type TestDatabase } from '../support/index.ts';

/** Nobody listens there: these tests send nothing. */
export const nowhere = 'http://127.0.0.1:9/';

export interface DestinationOptions {
  readonly maximum?: number;
  readonly inFlight?: number;
  readonly splitUpTo?: number;
}

/** YAML of destinations that are never reached, and routes to them; `*` to the first one unless given. */
export function yamlOf(
  destinations: Readonly<Record<string, DestinationOptions>>,
  routes: string = `[{ match: '*', to: [${Object.keys(destinations)[0]}] }]`,
): string {
  const lines = Object.entries(destinations).map(
    ([name, { maximum = 1000, inFlight = 2, splitUpTo = 5 }]) =>
      `  ${name}: { type: http, url: '${nowhere}', batch: { maximum: ${maximum}, inFlight: ${inFlight}, splitUpTo: ${splitUpTo} } }`,
  );
  return `destinations:\n${lines.join('\n')}\nroutes: ${routes}\n`;
}

/** A migrated database with these destinations. */
export async function databaseWith(
  destinations: Readonly<Record<string, DestinationOptions>>,
  routes?: string,
): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await applyTestConfig(database, yamlOf(destinations, routes));
  return database;
}

/** A database as it was before the migration whose name holds this word. */
export async function databaseBefore(word: string): Promise<TestDatabase> {
  const database = await createTestDatabase({ migrated: false });
  const migrations = await readMigrations();
  await database.pool.query(`create schema outbox; create table outbox.migrations
    (version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())`);
  for (const { sql, version, name } of migrations.slice(
    0,
    migrations.findIndex((each) => each.name.includes(word)),
  )) {
    await database.pool.query(sql);
    await database.pool.query(`insert into outbox.migrations (version, name, checksum) values ($1, $2, '')`, [
      version,
      name,
    ]);
  }
  return database;
}

/** Writes `count` events in one statement; answers their ids in the order of their deliveries. */
export async function writeEvents(db: Queryable, count: number, type = 'order.created'): Promise<string[]> {
  const { rows } = await db.query(
    `insert into outbox.events (type, payload) select $1, jsonb_build_object('n', n) from generate_series(1, $2::int) n returning id`,
    [type, count],
  );
  return (rows as { id: string }[]).map(({ id }) => id);
}

/** A relay that holds every lane. */
export async function soleRelay(db: Queryable, leaseMs = 60_000): Promise<string> {
  const id = randomUUID();
  await holdLanes(db, id, 'test', leaseMs);
  return id;
}

/** Claims whatever the lanes have, from their beginning; at most one batch a lane. */
export async function claim(
  db: Queryable,
  relay: string,
  lanes: readonly string[] = ['billing'],
  slowAfterMs = 60_000,
): Promise<ClaimedBatch[]> {
  return claimBatches(
    db,
    relay,
    lanes,
    lanes.map(() => '0'),
    slowAfterMs,
  );
}

/** As {@link claim} of `billing`, as a relay beside a worker does: each batch opened, its first rows loaded. */
export async function claimOpen(
  db: Queryable,
  relay: string,
  { rows = 100, bytes = 1_000_000 }: Partial<Chunk> = {},
): Promise<readonly ClaimedBatch[]> {
  const asks = [{ lane: 'billing', after: '0', into: null, limit: null }];
  return (await claimRows(db, relay, asks, 60_000, { rows, bytes })).batches;
}

/** One claimed batch of `count` new events; fails the test when none was claimed. */
export async function claimedBatch(
  db: Queryable,
  count: number,
): Promise<ClaimedBatch & { events: string[]; relay: string }> {
  const events = await writeEvents(db, count);
  const relay = await soleRelay(db);
  const [batch] = await claim(db, relay);
  if (batch === undefined) throw new Error('nothing was claimed');
  return { ...batch, events, relay };
}

/** A new execution of the workflow opens its batch. */
export async function openRun(db: Queryable, workflowId: string): Promise<BatchRun & { fruitless: number }> {
  const { rows } = await db.query('select batch_id as "batchId", run, fruitless from outbox.open_batch($1)', [
    workflowId,
  ]);
  const [row] = rows as (BatchRun & { fruitless: number })[];
  if (row === undefined) throw new Error(`no batch of ${workflowId}`);
  return row;
}

/** The rows of a batch in order of seq. */
export async function rowsOfBatch(db: Queryable, batchId: string): Promise<DeliveryState[]> {
  const { rows } = await db.query(
    `select seq::text, event_id as "eventId", state, tries, attempts, unreachable, revision
     from outbox.deliveries where batch_id = $1 order by outbox.deliveries.seq`,
    [batchId],
  );
  return rows as DeliveryState[];
}

export interface DeliveryState {
  readonly seq: string;
  readonly eventId: string;
  readonly state: string;
  readonly tries: number;
  readonly attempts: number;
  readonly unreachable: number;
  readonly revision: number;
}

/** A refusal of a row as the worker reports it; `park` to give it up. */
export function failure(
  row: Pick<DeliveryState, 'seq' | 'tries'> & Partial<Pick<DeliveryState, 'eventId'>>,
  over: Partial<FailureRow> = {},
): FailureRow {
  return {
    seq: row.seq,
    eventId: row.eventId ?? '',
    destination: 'billing',
    tries: row.tries,
    charged: true,
    park: null,
    delayMs: 60_000,
    status: 500,
    errorClass: 'http-500',
    message: 'it said no',
    excerpt: null,
    durationMs: 3,
    ...over,
  };
}

/** A connection of its own, to hold a transaction open; ended when the test is. */
export async function session(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  atEnd(() => client.end());
  return client;
}

/** What PostgreSQL refuses with, as it says it. */
export interface Refusal {
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
  readonly constraint?: string;
}

/** `count` parked deliveries of one workflow. */
export async function parked(db: Queryable, count: number) {
  const batch = await claimedBatch(db, count);
  await park(db, batch.workflowId);
  return batch;
}

/** All that the workflow holds. */
export async function park(db: Queryable, workflowId: string): Promise<void> {
  const opened = await openRun(db, workflowId);
  const rows = await rowsOfBatch(db, opened.batchId);
  await recordFailures(
    db,
    opened,
    rows.map((row) => failure(row, { park: 'exhausted' })),
  );
}
