/** Labelled rows for people, as `config explain` prints them. */
import { printable } from '../core/printable.ts';

export type Row = readonly [label: string, text: string];

const labelWidth = 15;
const textWidth = 80;

/** A title and its rows, long texts wrapped. */
export function printRows(title: string, rows: readonly Row[]): string {
  const lines = rows.map(
    ([label, text]) => `  ${printable(label).padEnd(labelWidth)}${wrap(printable(text))}`,
  );
  return [printable(title), ...lines].join('\n');
}

/** Stays on one line. */
export function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0');
}

function wrap(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string;
    if (line !== '' && line.length + word.length >= textWidth) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join(`\n${' '.repeat(labelWidth + 2)}`).replaceAll('\u00a0', ' ');
}
