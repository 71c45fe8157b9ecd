import type { OutboxConfig } from '../core/destination.ts';
import { describeDuration } from '../core/duration.ts';
import { OutboxError } from '../errors.ts';
import { dayMs, requireInbox } from './migrate.ts';
import { firstRow, type SqlClient } from './sql.ts';

export interface SenderTimes {
  /** The sender's `retry.scheduleToCloseTimeout`; the longest, if several destinations lead here. Default 72 hours. */
  readonly retryMs?: number;
  /** How long a parked message may wait for a person who sends it again. Default 14 days. */
  readonly parkedMs?: number;
  /** The furthest `deliver_at` lies ahead of when the event is written, and outages during which nothing is tried. Default 0. */
  readonly delayMs?: number;
}

export const senderDefaults: Required<SenderTimes> = { retryMs: 3 * dayMs, parkedMs: 14 * dayMs, delayMs: 0 };

/**
 * From when an event is written to the last moment it may arrive: the delay, the retries, the time parked, and the retries
 * again, as a message that is sent again begins its policy anew.
 */
export function longestRedeliveryMs(sender: SenderTimes): number {
  const { retryMs, parkedMs, delayMs } = { ...senderDefaults, ...sender };
  return delayMs + retryMs + parkedMs + retryMs;
}

/** The sender's longest `scheduleToCloseTimeout`, of all destinations of its outbox.yaml, or of those named. */
export function longestRetryMs({ destinations }: OutboxConfig, only?: readonly string[]): number {
  const chosen = destinations.filter(({ name }) => only === undefined || only.includes(name));
  return Math.max(0, ...chosen.map(({ retry }) => retry.scheduleToCloseTimeoutMs));
}

export interface InboxReport {
  readonly retentionMs: number;
  /** What the retention has to cover. */
  readonly neededMs: number;
  /** Ids of before this moment are refused. Right after the first migration it lies further back than the inbox knows. */
  readonly since: Date;
  /** Until when partitions are there. Consumers make more themselves; this is no alarm. */
  readonly until: Date;
  /** Weeks beyond the retention that maintainInbox would drop. */
  readonly overdueWeeks: number;
}

/**
 * Whether the inbox remembers as long as the sender may send.
 *
 * @throws OutboxError OUTBOX_INBOX_RETENTION when it does not
 * @throws OutboxError OUTBOX_SCHEMA_MISSING, OUTBOX_SCHEMA_NEWER
 */
export async function checkInbox(client: SqlClient, sender: SenderTimes = {}): Promise<InboxReport> {
  await requireInbox(client);
  const neededMs = longestRedeliveryMs(sender);
  const row = await firstRow<Record<'retention_ms' | 'since_ms' | 'until_ms' | 'overdue', number>>(
    client,
    `select extract(epoch from retention)::float8 * 1000 as retention_ms,
       extract(epoch from outbox_inbox.uuid7_time(oldest))::float8 * 1000 as since_ms,
       extract(epoch from outbox_inbox.uuid7_time(newest))::float8 * 1000 as until_ms,
       greatest(0, extract(epoch from outbox_inbox.week_of(now() - retention) - outbox_inbox.uuid7_time(oldest)) / 604800)::float8 as overdue
     from outbox_inbox.settings`,
  );
  const retentionMs = Number(row?.retention_ms);
  if (retentionMs < neededMs) throw tooShort(retentionMs, neededMs);
  return {
    retentionMs,
    neededMs,
    since: new Date(Number(row?.since_ms)),
    until: new Date(Number(row?.until_ms)),
    overdueWeeks: Math.floor(Number(row?.overdue)),
  };
}

function tooShort(retentionMs: number, neededMs: number): OutboxError {
  const [has, needs] = [describeDuration(retentionMs), describeDuration(neededMs)];
  return new OutboxError(
    'OUTBOX_INBOX_RETENTION',
    `the inbox remembers messages for ${has}, and the sender may send one for ${needs}`,
    {
      hint: `Run: temporal-outbox inbox migrate --retention ${Math.ceil(neededMs / dayMs)}d`,
    },
  );
}
