/** The Temporal Schedule that starts housekeeping: one per name, made by whoever runs, kept through restarts. */
import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type ScheduleOptions,
} from '@temporalio/client';
import { taskQueueName, workflowPrefix } from '../core/ids.ts';
import type { HousekeepingInput } from '../../workflows/housekeeping.ts';
import type { Temporal } from './connect.ts';

const everyMs = 3_600_000;
/** A server that swallows packets must not hold up a start. */
const deadlineMs = 10_000;

export function housekeepingScheduleId(name: string | null): string {
  return `${workflowPrefix(name)}housekeeping-schedule`;
}

/** Temporal appends the time to the workflow's id. */
function optionsOf(name: string | null): ScheduleOptions {
  const input: HousekeepingInput = { pass: true };
  return {
    scheduleId: housekeepingScheduleId(name),
    spec: { intervals: [{ every: everyMs }], jitter: '5m' },
    action: {
      type: 'startWorkflow',
      workflowType: 'housekeeping',
      workflowId: `${workflowPrefix(name)}housekeeping/pass`,
      taskQueue: taskQueueName(name),
      args: [input],
      staticSummary: 'drops days past their retention, deletes old rows',
    },
    // After an outage one pass is as good as many.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '10m' },
    state: { note: 'Kept by temporal-outbox; pause it to keep everything.' },
  };
}

/** Makes the schedule unless it is there. One that a person paused or changed stays as it is. Answers whether it was made. */
export async function ensureHousekeepingSchedule(
  { client }: Temporal,
  name: string | null,
): Promise<boolean> {
  try {
    await client.withDeadline(Date.now() + deadlineMs, () => client.schedule.create(optionsOf(name)));
    return true;
  } catch (error) {
    if (error instanceof ScheduleAlreadyRunning) return false;
    throw error;
  }
}

export interface ScheduleStanding {
  readonly paused: boolean;
  /** The note of whoever paused it, or made it. */
  readonly note: string | null;
  /** ISO 8601; null when it will not run again. */
  readonly nextAt: string | null;
  readonly lastAt: string | null;
}

/** Null when there is none. */
export async function describeHousekeepingSchedule(
  { client }: Temporal,
  name: string | null,
): Promise<ScheduleStanding | null> {
  try {
    const { state, info } = await client.schedule.getHandle(housekeepingScheduleId(name)).describe();
    return {
      paused: state.paused,
      note: state.note === undefined || state.note === '' ? null : state.note,
      nextAt: info.nextActionTimes[0]?.toISOString() ?? null,
      lastAt: info.recentActions.at(-1)?.takenAt.toISOString() ?? null,
    };
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}
