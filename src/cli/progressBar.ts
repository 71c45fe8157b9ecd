import type { Output } from './output.ts';
import { printable } from '../core/printable.ts';

export interface ProgressBar {
  show(done: number, total: number, beside: string): void;
  /** Leaves the last state where it stands. */
  end(): void;
}

const width = 30;
const noteEveryMs = 10_000;

/** On stderr: a bar that moves where that is a terminal, else a line now and then. */
export function progressBar(out: Output, stream: NodeJS.WriteStream = process.stderr): ProgressBar {
  let noted = { at: Number.NEGATIVE_INFINITY, text: '' };
  return {
    show: (done, total, beside) => {
      const text = lineOf(done, total, beside);
      if (stream.isTTY === true) return void stream.write(`\r\u001b[2K${text}`);
      if (text === noted.text || performance.now() - noted.at < noteEveryMs) return;
      noted = { at: performance.now(), text };
      out.note(text);
    },
    end: () => {
      if (stream.isTTY === true) stream.write('\n');
    },
  };
}

function lineOf(done: number, total: number, beside: string): string {
  const part = total === 0 ? 1 : done / total;
  const filled = Math.floor(part * width);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
  const why = beside === '' ? '' : ` · ${printable(beside)}`;
  return `${bar} ${Math.floor(part * 100)} % · ${done} of ${total}${why}`;
}
