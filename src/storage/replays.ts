/** Replays: frozen sets of events on their way to destinations. Every change of state is one SQL function. */
import type { ReplayPlan } from '../core/replay.ts';
import type { ParsedCommand, PacedAction } from '../core/command.ts';
import { firstOf, inTransaction, rowsOf, type Pool, type Queryable } from './connect.ts';
import type { ResolutionAnswer } from './resolutions.ts';

export type ReplayState = 'previewed' | 'running' | 'paused' | 'stopped' | 'canceled' | 'done';

/** How a replay stands. Times are ISO 8601, as PostgreSQL prints them. */
export interface ReplayStanding {
  readonly id: string;
  readonly workflowId: string;
  readonly state: ReplayState;
  /** As it was asked for; moments in UTC. */
  readonly filter: ReplayPlan['filter'];
  /** Null: where the routes say when an event's turn comes. */
  readonly to: string | null;
  /** Events a second. */
  readonly rate: number;
  readonly late: 'skip' | 'send';
  /** Events frozen into it. */
  readonly total: number;
  /** Events whose turn has come: sent or skipped. */
  readonly handled: number;
  /** Events that got a delivery. */
  readonly done: number;
  readonly deliveries: number;
  readonly skipped: number;
  readonly skippedBecause: {
    /** They had a delivery to that destination. */
    readonly hadOne: number;
    /** The destination keeps order, and got a newer event of their key. */
    readonly late: number;
    /** No route took them this time either; they stay counted as such. */
    readonly noRoute: number;
    /** Erased, or past retention. */
    readonly gone: number;
  };
  readonly preview: ReplayPreview;
  /** Why it holds back by itself, or stopped. */
  readonly because: string | null;
  readonly createdAt: string;
  readonly createdBy: string | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

/** As of the moment when the set was frozen. */
export interface ReplayPreview {
  /** Events that match and are not in the set: `hadOne` went to that destination before, `unknown` may have. */
  readonly leftOut: { readonly hadOne?: number; readonly unknown?: number };
  readonly oldestAt: string | null;
  readonly newestAt: string | null;
  /** The oldest day whose events are still there; null without any. */
  readonly keptSince: string | null;
  /** Events whose destination got newer ones of their key. */
  readonly late: number;
  /** Whether a destination it may go to keeps order per key. */
  readonly keepsOrder: boolean;
  /** The most frequent twenty. */
  readonly byType: readonly { readonly type: string; readonly events: number }[];
  /** Events that no route would take. */
  readonly noRoute: number;
}

/**
 * Finds the events and freezes them under `id`; nothing is sent. It reads every event in question: of a million, some seconds.
 * Answers the reason where it is refused. The same id again: what it answered before.
 */
export async function freezeReplay(
  db: Queryable,
  id: string,
  workflowId: string,
  plan: ReplayPlan,
  actor: string | null,
): Promise<ReplayStanding | string> {
  const row = await firstOf<{ answer: ReplayStanding | { refused: string } }>(
    db,
    'select outbox.freeze_replay($1, $2, $3, $4, $5, $6, $7) as answer',
    [id, workflowId, JSON.stringify(plan.filter), plan.to, plan.rate, plan.late, actor],
  );
  if (row === undefined) throw new Error('outbox.freeze_replay answered no row');
  return 'refused' in row.answer ? row.answer.refused : row.answer;
}

/** Undefined when there is none of that id. */
export async function readReplay(db: Queryable, id: string): Promise<ReplayStanding | undefined> {
  const row = await firstOf<{ standing: ReplayStanding | null }>(
    db,
    'select outbox.replay_standing($1) as standing',
    [id],
  );
  return row?.standing ?? undefined;
}

/** The newest first. */
export async function listReplays(db: Queryable, limit: number): Promise<ReplayStanding[]> {
  const rows = await rowsOf<{ standing: ReplayStanding }>(
    db,
    `select outbox.replay_standing(id) as standing
     from (select id, created_at from outbox.replays order by created_at desc limit $1) r order by created_at desc`,
    [limit],
  );
  return rows.map(({ standing }) => standing);
}

/** How it stands after the next portion, and when to ask for one again. */
export interface ReplayPortion extends ReplayStanding {
  readonly waitMs: number;
}

/** Gives the next events their deliveries, as many as its rate allows now, at most `most`. Undefined when there is none of that id. */
export async function releaseReplay(
  pool: Pool,
  id: string,
  most: number,
): Promise<ReplayPortion | undefined> {
  const row = await inTransaction(pool, (client) =>
    firstOf<{ portion: ReplayPortion | null }>(client, 'select outbox.release_replay($1, $2) as portion', [
      id,
      most,
    ]),
  );
  return row?.portion ?? undefined;
}

export async function commandReplay(
  db: Queryable,
  id: string,
  workflowId: string,
  command: ParsedCommand<PacedAction>,
  via: string,
): Promise<ResolutionAnswer> {
  const row = await firstOf<{ answer: ResolutionAnswer }>(
    db,
    'select outbox.command_replay($1, $2, $3, $4) as answer',
    [id, workflowId, JSON.stringify(command), via],
  );
  if (row === undefined) throw new Error('outbox.command_replay answered no row');
  return row.answer;
}

/** Deletes at most `limit` members of replays that are long over; answers how many. */
export async function purgeReplays(db: Queryable, limit: number): Promise<number> {
  const row = await firstOf<{ purged: number }>(db, 'select outbox.purge_replays($1) as purged', [limit]);
  return row?.purged ?? 0;
}
