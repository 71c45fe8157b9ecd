import { setTimeout as sleep } from 'node:timers/promises';

/** Inserts by the clock, whatever the answers take: a slow system must not slow its own load down. */
export async function steadily(player, perSecond, forSeconds) {
  const startedAt = performance.now();
  for (let index = 0; index < forSeconds * perSecond; index++) {
    const waitMs = startedAt + (index * 1000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const at = (performance.timeOrigin + performance.now()).toFixed(3);
    void player.tell({ insert: `{"at": ${at}}` }, 'inserted');
  }
}
