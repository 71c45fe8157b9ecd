import { setTimeout as sleep } from 'node:timers/promises';
import { OutboxError } from '../../errors.ts';
import type { Queryable } from '../../storage/connect.ts';
import { listReplays, readReplay, type ReplayStanding } from '../../storage/replays.ts';
import { withDatabase } from '../database.ts';
import { listenForInterruption } from '../interruption.ts';
import type { Output } from '../output.ts';
import { progressBar } from '../progressBar.ts';
import { listText, standingText } from './text.ts';

const lookEveryMs = 500;

/** `routes replay status`. Watching, and leaving off, changes nothing. */
export async function status(out: Output, id: string, watch: boolean): Promise<void> {
  const standing = await withDatabase(async (pool) =>
    watch ? untilItWaits(out, pool, id) : findReplay(pool, id),
  );
  out.result(standing, (colours) => standingText(standing, colours));
}

async function untilItWaits(out: Output, pool: Queryable, id: string): Promise<ReplayStanding> {
  const { signal } = listenForInterruption();
  const bar = progressBar(out);
  for (;;) {
    const standing = await findReplay(pool, id);
    const { state, handled, total, because } = standing;
    bar.show(handled, total, because ?? '');
    if (state !== 'running' || signal.aborted) {
      bar.end();
      return standing;
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

/** `routes replay list` */
export async function list(out: Output, limit: number): Promise<void> {
  const items = await withDatabase((pool) => listReplays(pool, limit));
  out.result({ items }, (colours) => listText(items, colours));
}

/** @throws OutboxError OUTBOX_NOT_FOUND */
export async function findReplay(db: Queryable, id: string): Promise<ReplayStanding> {
  const standing = await readReplay(db, id);
  if (standing === undefined)
    throw new OutboxError('OUTBOX_NOT_FOUND', `there is no replay ${id}`, {
      hint: 'temporal-outbox routes replay list shows those that are known.',
    });
  return standing;
}
