/** Why dead letters are parked: one row for each destination, class, status and error, however many letters it has. */
import { iso } from './isoColumn.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface Cause {
  /** Twelve hexadecimal digits, the same for the same cause in every database. Null: letters whose text was erased. */
  readonly id: string | null;
  readonly destination: string;
  /** The last error's class; the reason to be parked where nothing had failed. */
  readonly class: string;
  readonly status: number | null;
  /** The error without what differs from event to event, at most 300 characters. */
  readonly error: string;
  /** Open letters. */
  readonly open: number;
  /** The first and the last open one, ISO 8601 in UTC; null when none is open. */
  readonly firstParkedAt: string | null;
  readonly lastParkedAt: string | null;
  /** Letters parked in each of the last 24 hours, resolved ones too, the oldest hour first. */
  readonly trend: readonly number[];
  readonly note: string | null;
  readonly owner: string | null;
  readonly notedBy: string | null;
  readonly notedAt: string | null;
}

export interface CauseFilter {
  readonly destination?: string;
  readonly id?: string;
  /** Also those without an open letter. */
  readonly all?: boolean;
}

const trendHours = 24;

/** Most open letters first, at most `limit`. Counted from indexes alone: the letters themselves are not read. */
export async function listCauses(db: Queryable, filter: CauseFilter, limit: number): Promise<Cause[]> {
  const rows = await rowsOf<Cause>(
    db,
    `with found as (
       select c.*, o.open, o.first, o.last from outbox.causes c
       cross join lateral (select count(*) as open, min(l.parked_at) as first, max(l.parked_at) as last
                           from outbox.dead_letters l where l.cause = c.id and l.resolved_at is null) o
       where ($1::text is null or c.destination = $1) and ($2::text is null or c.id = $2) and (o.open > 0 or $4)
       union all
       select null, l.destination, 'erased', null, '(erased)', null, null, null, null, null, count(*), min(l.parked_at), max(l.parked_at)
       from outbox.dead_letters l
       where l.cause is null and l.resolved_at is null and $2::text is null and ($1::text is null or l.destination = $1)
       group by l.destination
       order by open desc, last desc nulls last, id limit $3
     )
     select f.id, f.destination, f.class, f.status, f.error, f.open::float8 as open, ${iso('f.first')} as "firstParkedAt",
            ${iso('f.last')} as "lastParkedAt", f.note, f.owner, f.noted_by as "notedBy", ${iso('f.noted_at')} as "notedAt",
            array(select (select count(*)::float8 from outbox.dead_letters l
                          where l.cause = f.id and l.parked_at > now() - (hour + 1) * interval '1 hour'
                            and l.parked_at <= now() - hour * interval '1 hour')
                  from generate_series(${trendHours - 1}, 0, -1) hour order by hour desc) as trend
     from found f order by f.open desc, f.last desc nulls last, f.id`,
    [filter.destination ?? null, filter.id ?? null, limit, filter.all ?? false],
  );
  return rows;
}

/** False when there is no such cause. Undefined leaves a field as it is, '' empties it. */
export async function noteCause(
  db: Queryable,
  id: string,
  { note, owner, actor }: { readonly note?: string; readonly owner?: string; readonly actor: string },
): Promise<boolean> {
  const row = await firstOf<{ noted: boolean }>(db, 'select outbox.note_cause($1, $2, $3, $4) as noted', [
    id,
    note ?? null,
    owner ?? null,
    actor,
  ]);
  return row?.noted ?? false;
}
