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
  let latest = '';
  const note = (): void => {
    noted = { at: performance.now(), text: latest };
    out.note(latest);
  };
  return {
    show: (done, total, beside) => {
      latest = lineOf(done, total, beside);
      if (stream.isTTY === true) stream.write(`\r\u001b[2K${latest}`);
      else if (latest !== noted.text && performance.now() - noted.at >= noteEveryMs) note();
    },
    end: () => {
      if (stream.isTTY === true) stream.write('\n');
      else if (latest !== noted.text) note();
    },
  };
}

function lineOf(done: number, total: number, beside: string): string {
  return `${barOf(done, total)} · ${done} of ${total}${beside === '' ? '' : ` · ${printable(beside)}`}`;
}

/** `███░░░ 45 %` */
export function barOf(done: number, total: number): string {
  const part = total === 0 ? 1 : done / total;
  const filled = Math.floor(part * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${Math.floor(part * 100)} %`;
}
