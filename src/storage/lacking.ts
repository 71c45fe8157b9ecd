/** What workers lack to do what the latest configuration says: a secret, a variable, a client that is not installed. */
import { rowsOf, type Queryable } from './connect.ts';

export interface Lack {
  /** In words, without secrets; names the variable. */
  readonly problem: string;
  /** It goes on by the configuration before, which it can do. */
  readonly goesOn: boolean;
  /** A handler, which some process has and others need not have. */
  readonly byDesign?: boolean;
}

/** By name. */
export interface Lacking {
  readonly destinations: ReadonlyMap<string, Lack>;
  /** To ask producers back about half messages. */
  readonly producers: ReadonlyMap<string, Lack>;
}

export const nothingLacking: Lacking = { destinations: new Map(), producers: new Map() };

/** For other processes to see. `text`: of {@link lackingText}. */
export async function noteLacking(db: Queryable, workerId: string, text: string | null): Promise<void> {
  await db.query('select outbox.note_lacking($1, $2)', [workerId, text]);
}

/** As {@link noteLacking} takes it: null for nothing. */
export function lackingText({ destinations, producers }: Lacking): string | null {
  if (destinations.size + producers.size === 0) return null;
  return JSON.stringify({
    destinations: Object.fromEntries(destinations),
    producers: Object.fromEntries(producers),
  });
}

/** What some of the workers that are alive cannot do. */
export interface LackingWork {
  readonly kind: 'destination' | 'check-back';
  /** The destination's, or the producer's of half messages. */
  readonly name: string;
  /** Of one of them. */
  readonly problem: string;
  /** Workers that lack it, those among them that go on by the configuration before, and all that are alive. */
  readonly lacking: number;
  readonly goingOn: number;
  readonly workers: number;
  /** It is only worth a word where nobody can. */
  readonly byDesign: boolean;
}

/** Nobody can: it waits until somebody has what is missing. */
export function isNobodys({ lacking, goingOn, workers }: LackingWork): boolean {
  return lacking === workers && goingOn === 0;
}

/** What is worth a word, what waits for somebody first. */
export async function readLacking(db: Queryable): Promise<LackingWork[]> {
  const found = await rowsOf<LackingWork>(
    db,
    `with alive as (select lacking from outbox.workers where seen_at > now() - interval '15 seconds'),
     lacks as (
       select 'destination' as kind, e.key as name, e.value
       from alive cross join lateral jsonb_each(lacking -> 'destinations') e join outbox.destinations d on d.name = e.key
       union all
       select 'check-back', e.key, e.value
       from alive cross join lateral jsonb_each(lacking -> 'producers') e join outbox.producers p on p.name = e.key
     )
     select kind, name, min(value ->> 'problem') as problem, count(*)::float8 as lacking,
            (count(*) filter (where (value ->> 'goesOn')::boolean))::float8 as "goingOn",
            (select count(*) from alive)::float8 as workers, bool_or(coalesce((value ->> 'byDesign')::boolean, false)) as "byDesign"
     from lacks group by kind, name order by kind desc, name`,
  );
  const worth = found.filter((each) => isNobodys(each) || !each.byDesign);
  return [...worth.filter(isNobodys), ...worth.filter((each) => !isNobodys(each))];
}
