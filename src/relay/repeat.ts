import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../activities/index.ts';

export interface Repeated {
  /** No further round; waits for the one under way. */
  stop(): Promise<void>;
}

/** Does `work` every `everyMs`, one round at a time. A failing round is logged (once per series) and the next one comes. */
export function repeat(what: string, everyMs: number, log: Log, work: () => Promise<unknown>): Repeated {
  const stopping = new AbortController();
  let failing = false;
  const round = async (): Promise<void> => {
    try {
      await work();
      if (failing) log.info({ chore: what }, 'works again');
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ chore: what, error: String(error) }, 'failed; trying again');
      failing = true;
    }
  };
  const rounds = (async () => {
    while (!stopping.signal.aborted) {
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (!stopping.signal.aborted) await round();
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await rounds;
    },
  };
}
