import { OutboxError } from '../errors.ts';
import { requireInbox } from './migrate.ts';
import { rowsOf } from '../produce/client.ts';
import { firstRow, type SqlClient } from './sql.ts';

export interface InboxMaintenance {
  /** Weekly partitions made. */
  readonly made: number;
  /** Names of the partitions that were dropped. */
  readonly dropped: readonly string[];
  /** Messages without a time in their id that were forgotten, and parked ones that were resolved so long ago. */
  readonly deleted: number;
  /** Ids of before this moment are refused from now on. */
  readonly since: Date;
}

/**
 * Makes partitions for the next five weeks and drops those beyond the retention, without holding up consumers. To be run once
 * a day or so, by the user that migrated; `client` may be a pool. Consumers work without it: they make the weeks they need, and
 * remember more than they have to.
 *
 * @throws OutboxError OUTBOX_USAGE in a transaction: partitions are detached outside of any
 */
export async function maintainInbox(client: SqlClient): Promise<InboxMaintenance> {
  await requireInbox(client);
  const made = await firstRow<{ made: number }>(client, 'select outbox_inbox.make_partitions() as made');
  // First refuse what is about to be forgotten, then forget it.
  const horizon = await firstRow<{ since_ms: number }>(
    client,
    'select extract(epoch from outbox_inbox.forget())::float8 * 1000 as since_ms',
  );
  return {
    made: made?.made ?? 0,
    dropped: await dropForgotten(client),
    deleted: (await deleteForgotten(client)) + (await deleteResolved(client)),
    since: new Date(Number(horizon?.since_ms)),
  };
}

interface ForgottenWeek {
  readonly name: string;
  /** `attached`, `pending` (an earlier detaching was cut short) or `detached`. */
  readonly state: 'attached' | 'pending' | 'detached';
}

async function dropForgotten(client: SqlClient): Promise<string[]> {
  const answer = await client.query(
    `select c.relname as name,
       case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'pending' else 'attached' end as state
     from pg_class c left join pg_inherits i on i.inhrelid = c.oid
     where c.relnamespace = 'outbox_inbox'::regnamespace and c.relkind = 'r' and c.relname ~ '^messages_[0-9]{8}$'
       and to_date(right(c.relname, 8), 'YYYYMMDD')
         < (select (outbox_inbox.uuid7_time(oldest) at time zone 'UTC')::date from outbox_inbox.settings)
     order by 1`,
    [],
  );
  const weeks = rowsOf<ForgottenWeek>(answer);
  for (const { name, state } of weeks) {
    // The plain form, and dropping while attached, would wait for every open transaction with all consumers behind it.
    if (state !== 'detached') {
      const how = state === 'pending' ? 'finalize' : 'concurrently';
      await client
        .query(`alter table outbox_inbox.messages detach partition outbox_inbox.${name} ${how}`, [])
        .catch(refuseTransaction);
    }
    await client.query(`drop table outbox_inbox.${name}`, []);
  }
  return weeks.map(({ name }) => name);
}

function refuseTransaction(error: unknown): never {
  if ((error as { code?: unknown }).code !== '25001') throw error;
  throw new OutboxError('OUTBOX_USAGE', 'maintainInbox was called inside of a transaction', {
    hint: 'Give it a pool, or a client without an open transaction.',
    cause: error,
  });
}

const chunk = 5_000;

async function deleteForgotten(client: SqlClient): Promise<number> {
  for (let deleted = 0; ;) {
    const row = await firstRow<{ count: number }>(
      client,
      `with gone as (
         delete from outbox_inbox.messages_foreign where ctid = any (array(
           select ctid from outbox_inbox.messages_foreign
           where applied_at < now() - (select retention from outbox_inbox.settings) order by applied_at limit ${chunk}))
         returning 1)
       select count(*)::int as count from gone`,
    );
    const count = row?.count ?? 0;
    deleted += count;
    if (count < chunk) return deleted;
  }
}

/** Counts of attempts that nobody came back to go too; they are no messages. */
async function deleteResolved(client: SqlClient): Promise<number> {
  const row = await firstRow<{ count: number }>(
    client,
    `with horizon as (select now() - retention as at from outbox_inbox.settings),
       counted as (delete from outbox_inbox.attempts where first_at < (select at from horizon)),
       gone as (delete from outbox_inbox.parked where resolved_at < (select at from horizon) returning id),
       told as (delete from outbox_inbox.parked_audit where parked_id in (select id from gone))
     select count(*)::int as count from gone`,
  );
  return row?.count ?? 0;
}
