import { OutboxError } from '../errors.ts';
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

/** For each table; the two ways out of what row-level security hides. */
export const rowSecurityHint =
  'Switch it off (alter table … disable row level security, for each table): who may do what is granted by role. ' +
  'Or give outbox_relay, outbox_operator, outbox_api and outbox_producer a policy each, using (true) with check (true).';

/**
 * Rows that no policy shows are not there for this role, and nothing says so: nothing would be claimed, and all would look well.
 * @throws OutboxError OUTBOX_ROW_SECURITY
 */
export async function requireVisibleRows(db: Queryable): Promise<void> {
  const row = await firstOf<{ user: string; tables: readonly string[] | null }>(
    db,
    `select current_user as user, array_agg(c.oid::regclass::text order by c.oid::regclass::text) as tables
     from pg_class c
     where c.relnamespace = to_regnamespace('outbox') and c.relkind in ('r', 'p') and c.relrowsecurity and not c.relispartition
       and row_security_active(c.oid) and has_table_privilege(c.oid, 'select')
       and not exists (select from pg_policy p where p.polrelid = c.oid
                       and (p.polroles = '{0}' or exists (select from unnest(p.polroles) r where pg_has_role(r, 'usage'))))`,
  );
  if (row?.tables == null) return;
  const [first, ...more] = row.tables;
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  throw new OutboxError(
    'OUTBOX_ROW_SECURITY',
    `row-level security hides every row of ${first}${others} from ${row.user}: no policy is for that role`,
    { hint: rowSecurityHint },
  );
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
       and not c.relispartition
     order by 1`,
  );
}
