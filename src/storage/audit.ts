/** Who did what: lines of outbox.audit, refusals among them. */
import type { ParsedCommand } from '../core/command.ts';
import { isoTime } from '../core/isoTime.ts';
import type { Known, WhoDid } from '../core/whoDid.ts';
import { iso } from './isoColumn.ts';
import { driverErrorOf } from './driverError.ts';
import { rowsOf, type Queryable } from './rows.ts';

export interface AuditLine extends WhoDid {
  readonly at: string;
  readonly via: string;
  readonly action: string;
  readonly outcome: 'done' | 'refused' | 'waiting';
  readonly message: string;
  readonly reason: string | null;
  /** How what it is about stood, and stands since; texts by their digest. Null where nothing was noted. */
  readonly before: unknown;
  readonly after: unknown;
}

/** What one person said, and another has to say, too, until `until`. Times are ISO 8601. */
export interface FirstWord {
  readonly action: string;
  readonly letters: number;
  /** Whom Temporal authenticated (`known`: proved), or a database user (session_user). */
  readonly person: string;
  readonly known: Known;
  readonly actor: string | null;
  readonly reason: string | null;
  readonly at: string;
  readonly until: string;
}

/** What waits for a second person, of a dead letter or of a redrive. */
export async function readFirstWords(
  db: Queryable,
  about: { readonly letter: number } | { readonly redrive: number },
): Promise<FirstWord[]> {
  const [row] = await rowsOf<{ words: FirstWord[] }>(
    db,
    'select outbox.waiting_for_second($1::bigint[], $2) as words',
    'letter' in about ? [[about.letter], null] : [[], about.redrive],
  );
  return (row?.words ?? []).map((word) => ({
    ...word,
    at: isoTime(Date.parse(word.at)),
    until: isoTime(Date.parse(word.until)),
  }));
}

/** Of an {@link AuditLine}, from `outbox.audit a`. */
export const auditColumns = `${iso('a.at')} as at, a.actor, a.known, a.principal, a.identity, a."session_user" as login, a.via, a.action,
  a.outcome, a.message, a.reason, a.before, a.after`;

/**
 * Says in SQL what is about to be sent through Temporal, so that the audit has the database user who sends it. Where that user may not, or
 * the schema is older, the command goes without: its sender is a claim then.
 */
export async function announceCommand(
  db: Queryable,
  workflowId: string,
  command: ParsedCommand<string>,
): Promise<void> {
  try {
    await db.query('select outbox.announce_command($1, $2)', [workflowId, JSON.stringify(command)]);
  } catch (error) {
    if (!mayNotAnnounce.has(driverErrorOf(error).code ?? '')) throw error;
  }
}

/** insufficient_privilege, undefined_function */
const mayNotAnnounce = new Set(['42501', '42883']);
