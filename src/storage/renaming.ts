/** The name of a database: what its workflow ids and its task queue begin with. */
import { firstOf, type Queryable } from './connect.ts';

/** What runs under the name at hand, and would be orphaned by another. All zero: nothing is open. */
export interface OpenWork {
  /** Claimed, retried or parked: each is held by a workflow. Those that only wait are held by none. */
  readonly deliveries: number;
  /** Half messages that a workflow asks about. */
  readonly messages: number;
  readonly redrives: number;
  readonly replays: number;
  /** Destinations whose circuit a workflow keeps: open, half-open or paused. */
  readonly circuits: number;
  /** Processes that claim, seen within 15 seconds. */
  readonly relays: number;
}

const open = `
  (select count(*)::int from outbox.deliveries where batch_id is not null) as deliveries,
  (select count(*)::int from outbox.prepared_messages where workflow_id is not null) as messages,
  (select count(*)::int from outbox.redrives where state in ('canary', 'running')) as redrives,
  (select count(*)::int from outbox.replays where state in ('running', 'paused')) as replays,
  (select count(*)::int from outbox.circuits where state <> 'closed') as circuits,
  (select count(*)::int from outbox.relays where seen_at > now() - interval '15 seconds') as relays`;

export async function readOpenWork(db: Queryable): Promise<OpenWork> {
  return (await firstOf<OpenWork>(db, `select ${open}`))!;
}

/**
 * Gives the database another name, if nothing is open at that moment; answers whether it did. Waits for whoever applies a configuration, and
 * they for this.
 */
export async function renameDatabase(
  db: Queryable,
  from: string | null,
  to: string | null,
  actor: string,
): Promise<boolean> {
  const row = await firstOf<{ renamed: boolean }>(
    db,
    `with held as (select name from outbox.settings for update),
          work as (select ${open}),
          renamed as (
            update outbox.settings set name = $2 from held, work
            where held.name is not distinct from $1
              and work.deliveries + work.messages + work.redrives + work.replays + work.circuits + work.relays = 0
            returning 1),
          noted as (
            insert into outbox.audit (actor, via, action, outcome, message)
            select $3, 'cli', 'rename', 'done',
                   format('named %s, before %s', coalesce($2, '(nothing)'), coalesce($1, '(nothing)')) from renamed)
     select exists (select from renamed) as renamed`,
    [from, to, actor],
  );
  return row?.renamed === true;
}
