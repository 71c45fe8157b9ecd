import { WorkflowNotFoundError } from '@temporalio/client';
import type { Temporal } from './connect.ts';
import { isWithheld } from './grpc.ts';

/**
 * How a workflow stands. `missing`: there is none, or it came to its end. `untold`: Temporal answers, and does not let us look.
 */
export interface WorkflowStanding {
  readonly is: 'running' | 'paused' | 'missing' | 'terminated' | 'canceled' | 'failed' | 'untold';
  /** Of one that a person paused: by whom, and why, in that person's words. */
  readonly pause: WorkflowPause | null;
}

export interface WorkflowPause {
  readonly by: string;
  readonly reason: string | null;
  /** ISO 8601. */
  readonly at: string | null;
}

/** Only NotFound means missing. @throws what the client throws when Temporal does not answer */
export async function standingOf({ client }: Temporal, workflowId: string): Promise<WorkflowStanding> {
  try {
    const { status, raw } = await client.workflow.getHandle(workflowId).describe();
    const is = kindOf(status.name);
    return { is, pause: pauseOf(raw, is === 'paused') };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { is: 'missing', pause: null };
    if (isWithheld(error)) return { is: 'untold', pause: null };
    throw error;
  }
}

/** A status of a later server is one of a workflow that is there. */
function kindOf(status: string): WorkflowStanding['is'] {
  switch (status) {
    case 'PAUSED':
      return 'paused';
    case 'TERMINATED':
      return 'terminated';
    case 'CANCELLED':
      return 'canceled';
    case 'FAILED':
    case 'TIMED_OUT':
      return 'failed';
    case 'COMPLETED':
      return 'missing';
    default:
      return 'running';
  }
}

interface Described {
  readonly workflowExtendedInfo?: { readonly pauseInfo?: RawPause | null } | null;
  readonly pendingActivities?:
    | readonly {
        readonly paused?: boolean | null;
        readonly pauseInfo?: {
          readonly pauseTime?: RawTime | null;
          readonly manual?: RawPause | null;
        } | null;
      }[]
    | null;
}

interface RawPause {
  readonly identity?: string | null;
  readonly reason?: string | null;
  readonly pausedTime?: RawTime | null;
}

interface RawTime {
  readonly seconds?: unknown;
}

/** The whole workflow, or the activity in which it is: either way it does nothing until somebody lets it. */
function pauseOf(raw: Described, whole: boolean): WorkflowPause | null {
  const held = raw.workflowExtendedInfo?.pauseInfo;
  if (whole) return inWords(held ?? {}, held?.pausedTime);
  const activity = raw.pendingActivities?.find(({ paused }) => paused === true);
  if (activity === undefined) return null;
  return inWords(activity.pauseInfo?.manual ?? {}, activity.pauseInfo?.pauseTime);
}

function inWords({ identity, reason }: RawPause, at: RawTime | null | undefined): WorkflowPause {
  const seconds = Number(at?.seconds ?? Number.NaN);
  return {
    by: identity ?? '',
    reason: reason === '' ? null : (reason ?? null),
    at: Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString() : null,
  };
}
