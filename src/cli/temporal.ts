import { connectTemporal, type Temporal } from '../temporal/connect.ts';
import { silentLog } from './log.ts';
import type { Output } from './output.ts';
import { routeTemporalLog } from './temporalRuntime.ts';

const patienceMs = 3_000;

/** One connection for one command. An address that swallows packets takes half a minute to give up: say so meanwhile. */
export async function connectForCommand(out: Output): Promise<Temporal> {
  routeTemporalLog(silentLog);
  const timer = setTimeout(() => out.note('still trying to reach Temporal …'), patienceMs);
  try {
    return await connectTemporal();
  } finally {
    clearTimeout(timer);
  }
}
