import { setTimeout as sleep } from 'node:timers/promises';
import type { Redrive, Redrives } from '../../redrive/index.ts';
import { listenForInterruption } from '../interruption.ts';
import type { Output } from '../output.ts';
import { progressBar } from '../progressBar.ts';
import { countsText, handledOf } from './text.ts';

const lookEveryMs = 500;

/** Shows the progress until it is over, `timeoutMs` at most. Watching, and leaving off, changes nothing. */
export async function follow(
  out: Output,
  redrives: Redrives,
  id: number,
  timeoutMs = Number.POSITIVE_INFINITY,
): Promise<Redrive> {
  const until = Date.now() + timeoutMs;
  const { signal } = listenForInterruption();
  const bar = progressBar(out);
  for (;;) {
    const { redrive } = await redrives.status(id);
    bar.show(handledOf(redrive), redrive.total, `${redrive.state}: ${countsText(redrive)}`);
    const isOver = redrive.endedAt !== null || redrive.state === 'previewed';
    if (isOver || signal.aborted || Date.now() >= until) {
      bar.end();
      return redrive;
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}
