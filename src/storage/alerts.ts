/** Alerts out: outbox.look_for_alerts does all of it, in one transaction. */
import { firstOf, type Queryable } from './connect.ts';

export interface AlertLook {
  /** After how long to ask again. */
  readonly waitMs: number;
  /** Texts of what was said. */
  readonly said: readonly string[];
  /** What was not: the only destinations for it are those that it is about. */
  readonly untold: readonly string[];
}

/** Looks, if no other process did within the interval, and sends what is news. Null: no alerts are configured. */
export async function lookForAlerts(db: Queryable): Promise<AlertLook | null> {
  const row = await firstOf<{ look: AlertLook | null }>(db, 'select outbox.look_for_alerts() as look');
  return row?.look ?? null;
}
