import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  /** Milliseconds; default 40,000. */
  readonly timeout?: number;
  /** Milliseconds between tries; default 25. */
  readonly interval?: number;
}

/**
 * Calls `look` until it no longer throws, and answers what it answers: put `expect(…)` in it. What it last threw is
 * thrown when time is up.
 *
 * @example await eventually(() => expect(receiver.requests).toHaveLength(3));
 */
export async function eventually<T>(look: () => T | Promise<T>, patience: Patience = {}): Promise<T> {
  const { timeout = 40_000, interval = 25 } = patience;
  const deadline = Date.now() + timeout;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() >= deadline) throw afterWaiting(error, timeout);
      await sleep(interval);
    }
  }
}

function afterWaiting(error: unknown, timeout: number): unknown {
  if (error instanceof Error) error.message += ` (waited for it for ${timeout} ms)`;
  return error;
}
