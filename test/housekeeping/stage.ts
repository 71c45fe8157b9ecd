/** Days in the past: events under ids of that time, as if they had been written then. */
import { randomBytes } from 'node:crypto';
import type { Queryable } from '../../src/storage/connect.ts';
import { keepHouse, type HousekeepingReport } from '../../src/housekeeping/pass.ts';
import { quietLog, type TestDatabase } from '../support/index.ts';

const dayMs = 86_400_000;

/** `20300131`: the day that began so many days before today, in UTC. */
export function dayTag(daysAgo: number): string {
  return new Date(Date.now() - daysAgo * dayMs).toISOString().slice(0, 10).replaceAll('-', '');
}

/** Noon of that day, so that no clock's edge matters. */
function noonOf(daysAgo: number): number {
  return Math.floor(Date.now() / dayMs) * dayMs - daysAgo * dayMs + dayMs / 2;
}

/** A UUIDv7 of that day. */
export function idOf(daysAgo: number): string {
  const time = noonOf(daysAgo).toString(16).padStart(12, '0');
  const random = randomBytes(10).toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`;
}

/** Makes the partitions of a day longer ago than a fresh schema has, as the owner of the others would have. */
export async function makeOldDays(db: Queryable, daysAgo: number): Promise<void> {
  const [from, to] = [-1, 1].map(
    (half) => `'${new Date(noonOf(daysAgo) + (half * dayMs) / 2).toISOString()}'`,
  );
  const make = (parent: string, bound: (at: string | undefined) => string): string =>
    `select outbox.make_partition('${parent}', '${parent}_${dayTag(daysAgo)}', (${bound(from)})::text, (${bound(to)})::text);`;
  const moment = (at: string | undefined): string => `${at}::timestamptz`;
  await db.query(
    'begin; set local role outbox_migrator;' +
      make('events', (at) => `outbox.uuid7_floor(${at})`) +
      make('delivered', moment) +
      make('attempts', moment) +
      'commit',
  );
}

/** Writes `count` events of that day in one statement; answers their ids. */
export async function writeOld(
  db: Queryable,
  daysAgo: number,
  count: number,
  payload: object = {},
): Promise<string[]> {
  const ids = Array.from({ length: count }, () => idOf(daysAgo));
  await db.query(
    `insert into outbox.events (id, type, payload) select id, 'order.created', $2 from unnest($1::uuid[]) id`,
    [ids, payload],
  );
  return ids;
}

/** Takes deliveries away as if they had been settled long ago. */
export async function settle(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query('delete from outbox.deliveries where event_id = any ($1)', [ids]);
}

export async function passOver({ pool }: Pick<TestDatabase, 'pool'>): Promise<HousekeepingReport> {
  const report = await keepHouse({ pool, log: quietLog().log });
  if (report === null) throw new Error('another pass was under way');
  return report;
}

export async function daysOf(database: TestDatabase, parent: string): Promise<string[]> {
  const rows = await database.rows<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'outbox'::regnamespace and relkind = 'r' and relname ~ ('^' || $1 || '_[0-9]{8}$') order by 1`,
    [parent],
  );
  return rows.map(({ name }) => name);
}
