import { cancellationSignal, heartbeat } from '@temporalio/activity';
import { keepHouse, type HousekeepingReport } from '../src/housekeeping/pass.ts';
import { workflowsWithoutRows } from '../src/storage/housekeeping.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { tidyRedrives } from './redrive.ts';
import { tryToWake } from './wake.ts';

/** In one pass; an erasure of thousands of parked events tells its workflows itself. */
const wokenPerPass = 1_000;

/** One pass of housekeeping, with heartbeats that say how far it is. Answers null when another one is under way. */
export async function housekeep(dependencies: ActivityDependencies): Promise<HousekeepingReport | null> {
  const { pool, log, leaving } = dependencies;
  let step = 'starting';
  const beat = setInterval(() => heartbeat(step), 5_000);
  try {
    const report = await keepHouse({
      pool,
      log,
      onStep: (next) => heartbeat((step = next)),
      signal: AbortSignal.any([cancellationSignal(), leaving.over]),
    });
    // Their rows were erased, and whoever did it ended before telling them.
    for (const workflowId of await workflowsWithoutRows(pool, wokenPerPass)) await tryToWake(workflowId);
    await tidyRedrives(dependencies);
    return report;
  } finally {
    clearInterval(beat);
  }
}
