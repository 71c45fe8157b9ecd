import { activityInfo, ApplicationFailure } from '@temporalio/activity';

/**
 * So often a second apart, then as the workflow's own retries go. Which worker an attempt falls to is chance: with one of two
 * unable, as in a deployment, the six attempts that growing pauses allow in half a minute all miss the other once in 64 times.
 */
const soon = 60;

/**
 * For what this process cannot do and another worker may: the activity is tried again, a second from now, and nothing is counted.
 *
 * @param type what to find such failures by
 */
export function leftToAnother(type: string, message: string): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message,
    ...(activityInfo().attempt <= soon ? { nextRetryDelay: '1s' } : {}),
  });
}
