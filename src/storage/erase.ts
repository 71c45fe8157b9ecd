import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface Erased {
  /** Events of which something was known. */
  readonly erased: readonly string[];
  readonly unknown: readonly string[];
  /** Unsettled deliveries that were dropped: an erased event is sent nowhere. */
  readonly deliveries: readonly {
    readonly eventId: string;
    readonly destination: string;
    readonly state: string;
  }[];
  /** Half messages that were open: rolled back. */
  readonly messages: readonly string[];
  /** Workflows that held the deliveries; told to look again they end. */
  readonly workflows: readonly string[];
}

/** Erases what was written into these events and half messages and said about them, at most 1,000, in one transaction. Again is harmless. */
export async function eraseEvents(
  db: Queryable,
  eventIds: readonly string[],
  { actor, reason }: { readonly actor: string; readonly reason: string | null },
): Promise<Erased> {
  const row = await firstOf<{ answer: Erased }>(
    db,
    `select outbox.erase($1::uuid[], $2, 'cli', $3) as answer`,
    [eventIds, actor, reason],
  );
  if (row === undefined) throw new Error('outbox.erase answered no row');
  return row.answer;
}

/** Ids of a key's events and open half messages that were not erased; reads every event there is, which may take minutes. */
export async function eventsOfKey(db: Queryable, key: string): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(db, 'select outbox.events_of_key($1) as id', [key]);
  return rows.map(({ id }) => id);
}
