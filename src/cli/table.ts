import { stripVTControlCharacters } from 'node:util';
import { printablePainted } from '../core/printable.ts';
import type { Colours } from './output.ts';

export { printable } from '../core/printable.ts';

export interface Column<T> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly value: (row: T) => string;
}

/** Columns as wide as their widest cell, two spaces apart, a row a line whatever is in it; ends with a line break. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], colours: Colours): string {
  const cells = rows.map((row) => columns.map((column) => printablePainted(column.value(row))));
  const widths = columns.map(({ title }, index) =>
    Math.max(width(title), ...cells.map((line) => width(line[index] ?? ''))),
  );
  const line = (texts: readonly string[]): string =>
    columns
      .map(({ align }, index) => pad(texts[index] ?? '', widths[index] ?? 0, align))
      .join('  ')
      .trimEnd();
  const head = colours.bold(line(columns.map(({ title }) => title)));
  return `${[head, ...cells.map(line)].join('\n')}\n`;
}

function pad(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(columns - width(text), 0));
  return align === 'right' ? space + text : text + space;
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** `label  value` lines, indented; labels aligned. */
export function facts(
  lines: readonly (readonly [label: string, value: string])[],
  colours: Colours,
  indent = '  ',
): string {
  const shown = lines.map(([label, value]) => [printablePainted(label), printablePainted(value)] as const);
  const longest = Math.max(...shown.map(([label]) => label.length));
  return shown.map(([label, value]) => `${indent}${colours.dim(label.padEnd(longest))}  ${value}\n`).join('');
}

export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
