/** Redrives: dead letters that are let go together. Every change of one is one SQL function (0033). */
import type { CheckedRedrive, RedriveFilter } from '../core/redrive.ts';
import type { ParsedCommand, ResolutionAction } from '../core/command.ts';
import { firstOf, rowsOf, type Queryable } from './rows.ts';
import { auditColumns, type AuditLine } from './audit.ts';
import { iso } from './isoColumn.ts';
import type { ResolutionAnswer } from './resolutions.ts';

export type RedriveState = 'previewed' | 'canary' | 'running' | 'paused' | 'stopped' | 'done';

/** How a redrive stands. Times are ISO 8601. */
export interface Redrive {
  readonly id: number;
  readonly state: RedriveState;
  /** Why it stopped; null of others. */
  readonly why: string | null;
  readonly action: ResolutionAction;
  readonly filter: RedriveFilter;
  readonly to: string | null;
  readonly steps: readonly number[];
  /** Letters a second, at most; null: the last step's size repeats. */
  readonly rate: number | null;
  /** 0 to 1. */
  readonly maxFailures: number;
  /** Dead letters frozen. */
  readonly total: number;
  /** Of those that match the filter, what was not frozen: why, and how many. */
  readonly leftOut: Readonly<Record<string, number>>;
  readonly destinations: readonly string[];
  /** Acted on so far: done, failed, retrying and unanswered together. */
  readonly acted: number;
  /** Delivered; of `discard`, discarded. */
  readonly done: number;
  /** Parked again. */
  readonly failed: number;
  /** Tried in vain since, and retried by the policy. */
  readonly retrying: number;
  /** Not tried yet. */
  readonly unanswered: number;
  /** Not acted on: resolved by somebody meanwhile, in another redrive, or it did not fit; `why` in {@link skippedOf}. */
  readonly skipped: number;
  readonly step: number;
  readonly reason: string | null;
  readonly workflowId: string | null;
  readonly madeAt: string;
  readonly madeBy: string | null;
  readonly startedAt: string | null;
  readonly startedBy: string | null;
  readonly pausedAt: string | null;
  readonly pausedBy: string | null;
  readonly endedAt: string | null;
}

/** After a step: when to go on, milliseconds; null after a command only, or never. */
export type AdvancedRedrive = Redrive & { readonly waitMs: number | null };

/** One member of a preview. */
export interface RedriveSample {
  readonly letterId: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly destination: string;
  readonly cause: string | null;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
  readonly parkedAt: string;
  /** `edit`: the payload, and what the patch makes of it, as PostgreSQL prints JSON; null of other actions. */
  readonly before: string | null;
  readonly after: string | null;
  /** Why the patch does not fit; such a member would be skipped. */
  readonly problem: string | null;
}

/** Freezes what matches; answers the redrive's id. Of two with the same request id the second one makes nothing. */
export async function freezeRedrive(
  db: Queryable,
  { patch, ...request }: CheckedRedrive,
  actor: string | null,
  requestId: string | null = null,
): Promise<number> {
  const row = await firstOf<{ id: number }>(
    db,
    'select outbox.freeze_redrive($1, $2, $3, $4)::float8 as id',
    [JSON.stringify(request), patch, actor, requestId],
  );
  if (row === undefined) throw new Error('outbox.freeze_redrive answered no row');
  return row.id;
}

/** Undefined when there is none of that number. `look`: at what became of its members since, too. */
export async function readRedrive(db: Queryable, id: number, look = true): Promise<Redrive | undefined> {
  const what = look ? 'redrive_now' : 'redrive_standing';
  const row = await firstOf<{ standing: Redrive | null }>(db, `select outbox.${what}($1) as standing`, [id]);
  return row?.standing ?? undefined;
}

/** Newest first. */
export async function listRedrives(db: Queryable, limit: number): Promise<Redrive[]> {
  const rows = await rowsOf<{ standing: Redrive }>(
    db,
    'select outbox.redrive_standing(id) as standing from (select id from outbox.redrives order by id desc limit $1) r order by id desc',
    [limit],
  );
  return rows.map(({ standing }) => standing);
}

/** The first members, with payloads where it is an edit. */
export async function sampleOf(db: Queryable, id: number, limit: number): Promise<RedriveSample[]> {
  return rowsOf<RedriveSample>(
    db,
    `select letter_id::float8 as "letterId", event_id as "eventId", event_type as "eventType", destination, cause,
            last_status as "lastStatus", last_error as "lastError", ${iso('parked_at')} as "parkedAt", before, after, problem
     from outbox.redrive_sample($1, $2)`,
    [id, limit],
  );
}

/** Why members were skipped, the most frequent first, twenty at most. */
export async function skippedOf(
  db: Queryable,
  id: number,
): Promise<{ readonly why: string; readonly letters: number }[]> {
  return rowsOf(
    db,
    `select coalesce(why, '') as why, count(*)::float8 as letters from outbox.redrive_members
     where redrive_id = $1 and state = 'skipped' group by 1 order by 2 desc, 1 limit 20`,
    [id],
  );
}

/** What may stand in a history of a member: no text of a receiver, no payload. */
export interface RedriveLetter {
  readonly letterId: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly destination: string;
  readonly lastStatus: number | null;
  readonly lastErrorClass: string | null;
}

export async function firstLetters(db: Queryable, id: number, limit: number): Promise<RedriveLetter[]> {
  return rowsOf<RedriveLetter>(
    db,
    `select l.id::float8 as "letterId", l.event_id as "eventId", l.event_type as "eventType", l.destination,
            l.last_status as "lastStatus", l.last_error_class as "lastErrorClass"
     from outbox.redrive_members m join outbox.dead_letters l on l.id = m.letter_id
     where m.redrive_id = $1 order by m.ordinal limit $2`,
    [id, limit],
  );
}

export interface RedriveMember {
  readonly ordinal: number;
  readonly letterId: number;
  readonly eventId: string;
  readonly destination: string;
  /** `frozen` and `waiting`: not acted on yet; `sent`: under way; `left`: the redrive ended before. */
  readonly state: 'frozen' | 'waiting' | 'sent' | 'done' | 'failed' | 'skipped' | 'left';
  readonly why: string | null;
}

/** What became of each member, or of those in one state; keyset by ordinal. */
export async function membersOf(
  db: Queryable,
  id: number,
  after: number,
  limit: number,
  state: RedriveMember['state'] | null = null,
): Promise<RedriveMember[]> {
  return rowsOf(
    db,
    `select ordinal, letter_id::float8 as "letterId", event_id as "eventId", destination, state, why
     from outbox.redrive_members where redrive_id = $1 and ordinal > $2 and ($4::text is null or state = $4)
     order by ordinal limit $3`,
    [id, after, limit, state],
  );
}

/** Who did what to it, the oldest first; of many lines the latest. */
export async function readRedriveAudit(db: Queryable, id: number, limit: number): Promise<AuditLine[]> {
  const latest = await rowsOf<AuditLine>(
    db,
    `select ${auditColumns}
     from outbox.audit a
     where a.workflow_id = outbox.workflow_prefix() || 'redrive/' || $1::bigint
     order by a.id desc limit $2`,
    [id, limit],
  );
  return latest.reverse();
}

/** Goes on as far as it may now; null when there is none of that number. */
export async function advanceRedrive(db: Queryable, id: number): Promise<AdvancedRedrive | null> {
  const row = await firstOf<{ standing: AdvancedRedrive | null }>(
    db,
    'select outbox.advance_redrive($1) as standing',
    [id],
  );
  return row?.standing ?? null;
}

/** A command to a redrive, and the id that makes its repeat harmless. */
export interface RedriveCommand {
  readonly action: string;
  readonly actor?: string;
  readonly reason?: string;
  readonly commandId?: string;
  /** Why it was not understood; nothing is done then but noting it. */
  readonly malformed?: string;
  /** `start`: of the workflow that keeps its time, where that is another than `redrive/<id>`. */
  readonly workflowId?: string;
  /** As in `ParsedCommand`. */
  readonly onBehalf?: true;
  /** As in `ParsedCommand`; counts only from a worker. */
  readonly sender?: ParsedCommand['sender'];
}

export async function commandRedrive(
  db: Queryable,
  id: number,
  command: RedriveCommand,
  via: string,
): Promise<ResolutionAnswer> {
  const row = await firstOf<{ answer: ResolutionAnswer }>(
    db,
    'select outbox.command_redrive($1, $2, $3) as answer',
    [id, JSON.stringify(command), via],
  );
  if (row === undefined) throw new Error('outbox.command_redrive answered no row');
  return row.answer;
}

/** Workflows that held members and do not know that they went; `told` are those that know it now. */
export async function untoldWorkflows(
  db: Queryable,
  id: number,
  told: readonly string[],
  limit: number,
): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(db, 'select outbox.redrive_untold($1, $2, $3) as id', [
    id,
    told,
    limit,
  ]);
  return rows.map((row) => row.id);
}

/** Redrives that go on, and of which nothing was heard for so long. */
export async function silentRedrives(
  db: Queryable,
  ageMs: number,
): Promise<{ readonly id: number; readonly workflowId: string }[]> {
  return rowsOf(
    db,
    `select id::float8 as id, workflow_id as "workflowId" from outbox.silent_redrives($1::float8 * interval '1 ms')`,
    [ageMs],
  );
}

/** Over, with workflows that nobody told. */
export async function endedUntold(db: Queryable, ageMs: number): Promise<number[]> {
  const rows = await rowsOf<{ id: number }>(
    db,
    `select distinct r.id::float8 as id from outbox.redrives r join outbox.redrive_workflows w on w.redrive_id = r.id
     where r.ended_at < now() - $1::float8 * interval '1 ms'`,
    [ageMs],
  );
  return rows.map(({ id }) => id);
}

/** Ends one; its members that wait stay parked. */
export async function stopRedrive(db: Queryable, id: number, why: string): Promise<void> {
  await db.query(`select outbox.end_redrive($1, 'stopped', $2)`, [id, why]);
}
