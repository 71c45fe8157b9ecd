import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient } from '../src/storage/errors.ts';

const firstDelayMs = 50;
const maximumDelayMs = 2_000;

/**
 * Writes an outcome that only this process knows, and keeps trying while PostgreSQL is away: giving up would send
 * messages again that were answered. Ends when `signal` aborts (fenced, cancelled) or on an error that waiting cannot mend.
 */
export async function persist<T>(write: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maximumDelayMs)) {
    try {
      return await write();
    } catch (error) {
      if (!isTransient(error) || signal.aborted) throw error;
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
