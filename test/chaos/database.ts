/** What the rig asks the database itself, past all proxies. */
import type { Pool } from '../../src/storage/connect.ts';
import type { AuditLine, Letter } from './history.ts';

export interface OpenLetter {
  readonly id: number;
  readonly event: string;
  readonly destination: string;
  readonly workflowId: string;
}

export async function openDeadLetters(pool: Pool): Promise<OpenLetter[]> {
  return rows(
    pool,
    `select id::int, event_id as event, destination, workflow_id as "workflowId"
     from outbox.dead_letters where resolved_at is null order by id limit 50`,
  );
}

export async function eventIds(pool: Pool): Promise<string[]> {
  return (await rows<{ id: string }>(pool, 'select id from outbox.events')).map(({ id }) => id);
}

export async function facts(pool: Pool): Promise<string[]> {
  return (await rows<{ tx: string }>(pool, 'select tx from chaos.facts')).map(({ tx }) => tx);
}

export async function letters(pool: Pool): Promise<Letter[]> {
  return rows(
    pool,
    `select id::int, event_id as event, destination, resolution, (extract(epoch from resolved_at) * 1000)::float8 as "resolvedAt",
            redirected_to as "redirectedTo" from outbox.dead_letters order by id`,
  );
}

export async function auditLines(pool: Pool): Promise<AuditLine[]> {
  return rows(
    pool,
    'select command_id as "commandId", action, outcome, events from outbox.audit order by id',
  );
}

/** Unsettled deliveries by state. */
export async function left(pool: Pool): Promise<Record<string, number>> {
  const counts = await rows<{ state: string; n: number }>(
    pool,
    'select state, count(*)::int as n from outbox.deliveries group by state',
  );
  return Object.fromEntries(counts.map(({ state, n }) => [state, n]));
}

export async function ourConnections(pool: Pool): Promise<number> {
  const [found] = await rows<{ n: number }>(
    pool,
    `select count(*)::int as n from pg_stat_activity where application_name = 'temporal-outbox'`,
  );
  return found?.n ?? 0;
}

async function rows<T>(pool: Pool, sql: string): Promise<T[]> {
  return (await pool.query(sql)).rows as T[];
}
