/** Updates that are to be answered: asked again where Temporal says that the workflow is not ready for one. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Temporal } from './connect.ts';
import { isNotReady } from './grpc.ts';

const againMs = { first: 100, maximum: 2_000 };

/**
 * `send` makes its start anew at each call, and sends the same command id: acted on once. `forMs` bounds all of it, a single request too.
 * @throws what the last `send` threw
 */
export function answered<T>(temporal: Temporal, forMs: number, send: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + forMs;
  return temporal.client.withDeadline(deadline, async () => {
    for (let pauseMs = againMs.first; ; pauseMs = Math.min(pauseMs * 2, againMs.maximum)) {
      try {
        return await send();
      } catch (error) {
        if (!isNotReady(error) || Date.now() + pauseMs >= deadline) throw error;
        await sleep(pauseMs);
      }
    }
  });
}
