import { firstOf, rowsOf, type Queryable } from './connect.ts';

/**
 * How outbox.events' routing trigger stands, as pg_trigger.tgenabled has it: `O` normal, `A` always, `R` for replicated rows alone,
 * `D` disabled; null when there is none.
 */
export async function readRoutingTrigger(db: Queryable): Promise<'O' | 'A' | 'R' | 'D' | null> {
  const row = await firstOf<{ enabled: 'O' | 'A' | 'R' | 'D' }>(
    db,
    `select tgenabled as enabled from pg_trigger where tgrelid = 'outbox.events'::regclass and tgname = 'route_new_events'`,
  );
  return row?.enabled ?? null;
}

export interface TableUnderRowSecurity {
  /** `outbox.deliveries` */
  readonly name: string;
  /** That apply to one of our roles, or to everybody. */
  readonly policies: number;
}

/** Tables of ours, the inbox's too, whose rows policies decide about; for other users than their owner, or (forced) for the owner too. */
export async function tablesUnderRowSecurity(db: Queryable): Promise<TableUnderRowSecurity[]> {
  return rowsOf<TableUnderRowSecurity>(
    db,
    `select c.oid::regclass::text as name,
            (select count(*) from pg_policy p
             where p.polrelid = c.oid and (p.polroles = '{0}'
               or exists (select from pg_roles r where r.oid = any (p.polroles) and r.rolname like 'outbox\\_%')))::float8 as policies
     from pg_class c
     where c.relnamespace in (to_regnamespace('outbox'), to_regnamespace('outbox_inbox')) and c.relkind in ('r', 'p') and c.relrowsecurity
     order by 1`,
  );
}
