/** What the rig asks the databases itself, past all wires. */
import type { Pool } from '../../src/storage/connect.ts';
import type { AuditLine, FailedAttempts, Letter, RedriveSums } from './history.ts';

export interface OpenLetter {
  readonly id: number;
  readonly event: string;
  readonly destination: string;
  readonly workflowId: string;
}

export async function openDeadLetters(outbox: Pool): Promise<OpenLetter[]> {
  return rows(
    outbox,
    `select id::int, event_id as event, destination, workflow_id as "workflowId"
     from outbox.dead_letters where resolved_at is null order by id limit 200`,
  );
}

export async function eventIds(outbox: Pool): Promise<string[]> {
  return (await rows<{ id: string }>(outbox, 'select id from outbox.events')).map(({ id }) => id);
}

/** Transactions whose own row is there: beside the outbox, and in the shop's own database. */
export async function facts({ outbox, shop }: { outbox: Pool; shop: Pool }): Promise<string[]> {
  const found = [
    ...(await rows<{ tx: string }>(outbox, 'select tx from chaos.facts')),
    ...(await rows<{ tx: string }>(shop, 'select tx from facts')),
  ];
  return found.map(({ tx }) => tx);
}

export async function effects(bank: Pool): Promise<{ booked: string[]; balance: number }> {
  const booked = await rows<{ event: string }>(bank, 'select event from bookings');
  const [sum] = await rows<{ n: number }>(bank, 'select sum(payments)::int as n from balances');
  return { booked: booked.map(({ event }) => event), balance: sum?.n ?? 0 };
}

export async function letters(outbox: Pool): Promise<Letter[]> {
  return rows(
    outbox,
    `select id::int, event_id as event, destination, resolution, (extract(epoch from resolved_at) * 1000)::float8 as "resolvedAt",
            redirected_to as "redirectedTo", command_id as "commandId" from outbox.dead_letters order by id`,
  );
}

export async function redrives(outbox: Pool): Promise<RedriveSums[]> {
  return rows(outbox, 'select id::int, state, total, acted from outbox.redrives order by id');
}

export async function auditLines(outbox: Pool): Promise<AuditLine[]> {
  return rows(
    outbox,
    'select command_id as "commandId", action, destination, outcome, events from outbox.audit order by id',
  );
}

export async function failedAttempts(outbox: Pool): Promise<FailedAttempts[]> {
  return rows(
    outbox,
    `select destination, error_class as "errorClass", charged, count(*)::int from outbox.attempts
     where error_class is not null group by 1, 2, 3 order by 1, 2, 3`,
  );
}

/** When the acknowledgements of these events were written, by `<destination>/<event>`. */
export async function acknowledgedAt(
  outbox: Pool,
  events: readonly string[],
): Promise<Record<string, number>> {
  const { rows: found } = await outbox.query<{ delivery: string; ms: number }>(
    `select destination || '/' || event_id as delivery, (extract(epoch from delivered_at) * 1000)::float8 as ms
     from outbox.delivered where event_id = any($1::uuid[])`,
    [events],
  );
  return Object.fromEntries(found.map(({ delivery, ms }) => [delivery, ms]));
}

/** Unsettled deliveries by state, and half messages of which nothing is known yet. */
export async function left(outbox: Pool): Promise<Record<string, number>> {
  const counts = await rows<{ state: string; n: number }>(
    outbox,
    `select state, count(*)::int as n from outbox.deliveries group by state
     union all select state, count(*)::int from outbox.prepared_messages
               where state not in ('committed', 'rolled-back') group by state`,
  );
  return Object.fromEntries(counts.map(({ state, n }) => [state, n]));
}

/** Deliveries of events written before then that are neither delivered nor parked. */
export async function unsettledBefore(outbox: Pool, atMs: number): Promise<number> {
  const { rows: found } = await outbox.query<{ n: number }>(
    `select count(*)::int as n from outbox.deliveries
     where state <> 'parked' and event_id < outbox.uuid7_floor(to_timestamp($1::float8 / 1000))`,
    [atMs],
  );
  return found[0]?.n ?? 0;
}

export async function ourConnections(outbox: Pool): Promise<number> {
  const [found] = await rows<{ n: number }>(
    outbox,
    `select count(*)::int as n from pg_stat_activity where application_name = 'temporal-outbox'`,
  );
  return found?.n ?? 0;
}

async function rows<T>(pool: Pool, sql: string): Promise<T[]> {
  return (await pool.query(sql)).rows as T[];
}
