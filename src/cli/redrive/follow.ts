import { setTimeout as sleep } from 'node:timers/promises';
import type { Redrive, Redrives } from '../../redrive/index.ts';
import type { Output } from '../output.ts';
import { bar, countsText } from './text.ts';

const everyMs = 500;
const lineEveryMs = 5_000;

/** Shows the progress until it is over: a bar that is painted over on a terminal, a line now and then elsewhere. */
export async function follow(out: Output, redrives: Redrives, id: number): Promise<Redrive> {
  const isTerminal = !out.json && process.stderr.isTTY;
  let saidAt = 0;
  for (;;) {
    const { redrive } = await redrives.status(id);
    const line = `${bar(redrive)} ${redrive.state}: ${countsText(redrive)}`;
    if (isTerminal) process.stderr.write(`\r\u001b[2K${line}`);
    else if (Date.now() - saidAt >= lineEveryMs) {
      saidAt = Date.now();
      out.note(line);
    }
    if (redrive.endedAt !== null || redrive.state === 'previewed') {
      if (isTerminal) process.stderr.write('\n');
      return redrive;
    }
    await sleep(everyMs);
  }
}
