import type { CountedCircuit } from '../core/circuit.ts';
import type { ParsedDestinationCommand } from '../core/command.ts';
import {
  rowColumns,
  type BatchRun,
  type BatchSummary,
  type Chunk,
  type FailureRow,
  type OpenedRows,
  type OpenedBatch,
  type DeliveryRow,
  type SplitOff,
} from './attempts.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import type { ResolutionAnswer } from './resolutions.ts';

/** How a destination stands. Times are ISO 8601, as PostgreSQL prints them. */
export interface DestinationStanding extends CountedCircuit {
  readonly destination: string;
  readonly configRevision: number;
  /** Refusals that were all alike paused it, not a person. */
  readonly pausedByRefusals: boolean;
  /** Of the pause, else of the circuit's state. */
  readonly since: string | null;
  readonly reason: string | null;
  readonly lastStatus: number | null;
  readonly lastErrorClass: string | null;
  /** When the outage at hand began; null while closed. */
  readonly openedAt: string | null;
  readonly failedProbes: number;
  readonly nextProbeAt: string | null;
  /** Until when the receiver itself asked not to be called; null when it did not, or that is over. */
  readonly waitUntil: string | null;
  /** Negative when overdue; null unless open. */
  readonly nextProbeMs: number | null;
  /** Pending deliveries, counted up to 10,001. */
  readonly waiting: number;
}

/** Undefined when there is no such destination. */
export async function readStanding(
  db: Queryable,
  destination: string,
): Promise<DestinationStanding | undefined> {
  const row = await firstOf<{ standing: DestinationStanding | null }>(
    db,
    'select outbox.circuit_standing($1) as standing',
    [destination],
  );
  return row?.standing ?? undefined;
}

/** What an attempt with failures adds to its destination's counts. */
export interface AttemptCounts {
  /** By this process since it last reported, this attempt not counted. */
  readonly acknowledged: number;
  /** Of this attempt, as the rest. */
  readonly requests: number;
  readonly sick: number;
  /** 0 when anything in the attempt was answered. */
  readonly unreachable: number;
  readonly answered: boolean;
  /** The class of destination's fault it ended with, and how often in a row, repeats not counted; null for another end. */
  readonly fault: string | null;
  readonly faults: number;
  /** Ids of the events that got a sign (`isSign`). */
  readonly signs: readonly string[];
  /** Whether any event went through, in this attempt or before it since the last report. */
  readonly wentThrough: boolean;
}

/** Undefined when there is no such destination any more. */
export async function countOutcomes(
  db: Queryable,
  destination: string,
  counts: AttemptCounts,
  windowMs: number,
): Promise<DestinationStanding | undefined> {
  const row = await firstOf<{ standing: DestinationStanding | null }>(
    db,
    `select outbox.count_outcomes($1, $2, $3 * interval '1 ms') as standing`,
    [destination, JSON.stringify(counts), windowMs],
  );
  return row?.standing ?? undefined;
}

export interface OutageFacts {
  readonly reason: string;
  readonly status: number | null;
  readonly errorClass: string | null;
  readonly nextProbeMs: number;
  /** Refusals charged within it are refunded. */
  readonly windowMs: number;
}

/** A receiver that is well asked for time: nothing is claimed for so long, and at most so many rows at once for a minute after it. */
export interface AskedWait {
  readonly waitMs: number;
  readonly claimAtMost: number;
}

export type CircuitChange =
  | { readonly open: OutageFacts }
  | { readonly pause: Omit<OutageFacts, 'nextProbeMs' | 'windowMs'> }
  | { readonly wait: AskedWait };

/**
 * Gives back what the run's batch has not settled, uncharged; `failures` count as tries. `change`: what they did to the
 * destination; for a wait, rows whose retry is not due stay. Answers null when fenced.
 */
export async function returnRows(
  db: Queryable,
  run: BatchRun,
  failures: readonly FailureRow[],
  change: CircuitChange | null,
): Promise<BatchSummary | null> {
  const row = await firstOf<{ summary: BatchSummary | null }>(
    db,
    'select outbox.return_rows($1, $2, $3, $4) as summary',
    [run.batchId, run.run, JSON.stringify(failures), change === null ? null : JSON.stringify(change)],
  );
  return row?.summary ?? null;
}

export interface ClaimedProbe extends OpenedRows {
  /** Whether more deliveries wait than were claimed. */
  readonly others: boolean;
}

/** Gives back what a probe left whose worker was lost, and fences that worker; answers how many probes there were. */
export async function returnLostProbe(db: Queryable, destination: string): Promise<number> {
  const row = await firstOf<{ count: number }>(db, 'select outbox.return_lost_probe($1) as count', [
    destination,
  ]);
  return row?.count ?? 0;
}

/** Claims up to `limit` different pending deliveries for a probe, for at most `holdMs`; undefined when none waits. */
export async function claimProbe(
  db: Queryable,
  destination: string,
  limit: number,
  holdMs: number,
  { rows: maximum, bytes }: Chunk,
): Promise<ClaimedProbe | undefined> {
  const rows = await rowsOf<OpenedBatch & DeliveryRow & { readonly others: boolean }>(
    db,
    `select c.batch_id as "batchId", c.run, c.lane, c.fruitless, c.config_revision as "configRevision", c.held, c.others, ${rowColumns}
     from outbox.claim_probe($1, $2, $3 * interval '1 ms') c
     cross join lateral outbox.load_rows(c.batch_id, 0, $4, $5) r order by r.seq`,
    [destination, limit, holdMs, maximum, bytes],
  );
  const first = rows[0];
  return first === undefined ? undefined : { batch: first, rows, others: first.others };
}

/** Ends a probe whose failures were recorded; answers the workflows that are to take them over, null when fenced. */
export async function finishProbe(
  db: Queryable,
  run: BatchRun,
  maxSingles: number,
): Promise<SplitOff[] | null> {
  const row = await firstOf<{ singles: SplitOff[] | null }>(
    db,
    'select outbox.finish_probe($1, $2, $3) as singles',
    [run.batchId, run.run, maxSingles],
  );
  return row?.singles ?? null;
}

export async function noteFailedProbe(
  db: Queryable,
  destination: string,
  facts: Omit<OutageFacts, 'windowMs'>,
): Promise<void> {
  await db.query('select outbox.note_failed_probe($1, $2)', [destination, JSON.stringify(facts)]);
}

/** Answers false when somebody closed or paused it meanwhile. */
export async function halfOpen(db: Queryable, destination: string): Promise<boolean> {
  const row = await firstOf<{ ok: boolean }>(db, 'select outbox.half_open($1) as ok', [destination]);
  return row?.ok === true;
}

/** `unreachable`: what is left of the count in a row. `forgivenMs`: for so long 5xx are the events' own. */
export async function closeCircuit(
  db: Queryable,
  destination: string,
  message: string,
  { unreachable = 0, forgivenMs = 0 } = {},
): Promise<void> {
  await db.query(`select outbox.close_circuit($1, $2, $3, $4 * interval '1 ms')`, [
    destination,
    message,
    unreachable,
    forgivenMs,
  ]);
}

export interface CircuitToWatch {
  readonly destination: string;
  /** Whether it opened or was paused since anybody last looked. */
  readonly fresh: boolean;
}

/** Destinations that are held and whose workflow nobody looked for within `ageMs`; marks them as looked for. */
export async function circuitsToWatch(
  db: Queryable,
  ageMs: number,
  limit: number,
): Promise<CircuitToWatch[]> {
  return rowsOf<CircuitToWatch>(
    db,
    `select destination, fresh from outbox.circuits_to_watch($1 * interval '1 ms', $2)`,
    [ageMs, limit],
  );
}

/** Takes back that somebody looked for its workflow: it could not be started. */
export async function forgetWatch(db: Queryable, destination: string): Promise<void> {
  await db.query('update outbox.circuits set watched_at = null where destination = $1', [destination]);
}

/** Null when the command is one that the caller carries out itself: see {@link noteDestinationCommand}. */
export async function commandDestination(
  db: Queryable,
  destination: string,
  command: ParsedDestinationCommand,
  via: string,
): Promise<ResolutionAnswer | null> {
  const row = await firstOf<{ answer: ResolutionAnswer | null }>(
    db,
    'select outbox.command_destination($1, $2, $3) as answer',
    [destination, JSON.stringify(command), via],
  );
  return row?.answer ?? null;
}

/** Writes down what came of a command that was carried out elsewhere. */
export async function noteDestinationCommand(
  db: Queryable,
  destination: string,
  command: ParsedDestinationCommand,
  via: string,
  answer: ResolutionAnswer,
): Promise<ResolutionAnswer> {
  const row = await firstOf<{ answer: ResolutionAnswer | null }>(
    db,
    'select outbox.command_destination($1, $2, $3, $4, $5, $6) as answer',
    [destination, JSON.stringify(command), via, answer.outcome, answer.message, answer.events],
  );
  return row?.answer ?? answer;
}

/** Deliveries that a batch holds. */
export async function countBatch(db: Queryable, batchId: string): Promise<number> {
  const row = await firstOf<{ count: number }>(
    db,
    'select count(*)::int as count from outbox.deliveries where batch_id = $1',
    [batchId],
  );
  return row?.count ?? 0;
}

/** Parks up to `limit` pending deliveries of a paused destination, older than `olderThanMs`, in one batch; answers how many. */
export async function parkPending(
  db: Queryable,
  destination: string,
  batchId: string,
  olderThanMs: number,
  limit: number,
): Promise<number> {
  const row = await firstOf<{ parked: number }>(
    db,
    `select outbox.park_pending($1, $2, $3 * interval '1 ms', $4) as parked`,
    [destination, batchId, olderThanMs, limit],
  );
  return row?.parked ?? 0;
}

/** Ends pauses whose cause was a process that could not send; answers of which destinations. */
export async function liftPauses(db: Queryable, destinations: readonly string[]): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(db, 'select outbox.lift_pauses($1) as name', [destinations]);
  return rows.map(({ name }) => name);
}
