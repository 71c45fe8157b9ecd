/** What went through in the last hour, by destination and minute: sums that workers write, so that reading them costs the same at any rate. */
import { rowsOf, type Queryable } from './connect.ts';

export interface FlowNoted {
  readonly destination: string;
  readonly delivered: number;
  readonly retried: number;
  readonly parked: number;
  /** Answers by how long they took, one number more than there are bounds. */
  readonly slowness: readonly number[];
}

/** Adds to the sums of this minute. */
export async function noteFlow(db: Queryable, worker: string, rows: readonly FlowNoted[]): Promise<void> {
  await db.query('select outbox.note_flow($1, $2)', [worker, JSON.stringify(rows)]);
}

export interface FlowMinute extends FlowNoted {
  /** 0 for the minute that runs, 1 for the one before it. */
  readonly minutesAgo: number;
}

/** Of all processes together; minutes in which nothing happened are absent. */
export async function readFlow(db: Queryable, minutes: number): Promise<FlowMinute[]> {
  return rowsOf<FlowMinute>(
    db,
    `select f.destination, (extract(epoch from date_trunc('minute', now()) - f.minute) / 60)::integer as "minutesAgo",
            sum(f.delivered)::float8 as delivered, sum(f.retried)::float8 as retried, sum(f.parked)::float8 as parked,
            array(select sum(s.n)::float8 from outbox.flow g cross join unnest(g.slowness) with ordinality as s(n, bucket)
                  where g.destination = f.destination and g.minute = f.minute group by s.bucket order by s.bucket) as slowness
     from outbox.flow f where f.minute > now() - $1 * interval '1 minute' group by f.destination, f.minute`,
    [minutes],
  );
}

/** How late a destination was at worst within a minute. */
export interface LagMinute {
  readonly destination: string;
  /** 0 for the minute that runs, 1 for the one before it. */
  readonly minutesAgo: number;
  readonly seconds: number;
}

/** Of those that are late; the worst of a minute stays. */
export async function noteLags(
  db: Queryable,
  lanes: readonly { readonly destination: string; readonly lagSeconds: number }[],
): Promise<void> {
  const late = lanes
    .filter(({ lagSeconds }) => lagSeconds > 0)
    .map(({ destination, lagSeconds }) => ({ destination, lagSeconds }));
  if (late.length > 0) await db.query('select outbox.note_lags($1)', [JSON.stringify(late)]);
}

/** Minutes in which nothing was seen to wait are absent. */
export async function readLags(db: Queryable, minutes: number): Promise<LagMinute[]> {
  return rowsOf<LagMinute>(
    db,
    `select destination, seconds::float8 as seconds,
            (extract(epoch from date_trunc('minute', now()) - minute) / 60)::integer as "minutesAgo"
     from outbox.lags where minute > now() - $1 * interval '1 minute'`,
    [minutes],
  );
}
