import { setTimeout as sleep } from 'node:timers/promises';

/** Looks until there is something to see. @throws when time is up, or `interrupted` */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined>,
  withinMs = 60_000,
  interrupted?: AbortSignal,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    interrupted?.throwIfAborted();
    if (Date.now() > deadline) throw new Error(`waited ${withinMs / 1000} s for ${what}, in vain`);
    await sleep(100);
  }
}
