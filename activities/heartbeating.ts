import { activityInfo, heartbeat } from '@temporalio/activity';

const everyMs = 2_000;

/** Does the work of an activity with heartbeats beside it: another worker takes over soon when this one dies. */
export async function heartbeating<T>(work: () => Promise<T>): Promise<T> {
  // A local activity has none.
  const beat = activityInfo().isLocal ? undefined : setInterval(() => heartbeat(), everyMs);
  try {
    return await work();
  } finally {
    clearInterval(beat);
  }
}
