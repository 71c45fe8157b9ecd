import type { Redrive } from '../../redrive/index.ts';
import type { Colours } from '../output.ts';
import { printable } from '../table.ts';
import { counted } from '../../core/counted.ts';

export function lettersText(count: number): string {
  return counted(count, 'dead letter');
}

/** `done 812, failed 3, retrying 2, skipped 1 of 1000` */
export function countsText({ total, done, failed, retrying, unanswered, skipped }: Redrive): string {
  const counts = { done, failed, retrying, 'under way': unanswered, skipped };
  const shown = Object.entries(counts).filter(([name, count]) => count > 0 || name === 'done');
  return `${shown.map(([name, count]) => `${name} ${count}`).join(', ')} of ${total}`;
}

export function endOf(redrive: Redrive, colours: Colours): string {
  const { id, state, why } = redrive;
  const paint = state === 'stopped' ? colours.red : state === 'done' ? colours.green : colours.yellow;
  return `redrive ${id} ${paint(state)}${why === null ? '' : `: ${printable(why)}`}; ${countsText(redrive)}\n`;
}

/** Letters that were taken in hand. */
export function handledOf({ acted, skipped }: Redrive): number {
  return acted + skipped;
}
