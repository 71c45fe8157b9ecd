import type { RecordedAttempt } from '../storage/deadLetters.ts';
import type { Colours } from './output.ts';
import { shortTime } from './spokenTime.ts';
import { printable } from '../core/printable.ts';
import { cut, table } from './table.ts';

/** The history of one delivery, an attempt a line. */
export function attemptTable(attempts: readonly RecordedAttempt[], colours: Colours): string {
  return table(columns, attempts, colours);
}

const columns = [
  { title: 'TRY', align: 'right' as const, value: (each: RecordedAttempt) => String(each.try) },
  { title: 'AT (UTC)', value: ({ at }: RecordedAttempt) => shortTime(at) },
  {
    title: 'TOOK',
    align: 'right' as const,
    value: ({ durationMs }: RecordedAttempt) => (durationMs === null ? '' : `${durationMs} ms`),
  },
  { title: 'STATUS', value: ({ status }: RecordedAttempt) => (status === null ? '-' : String(status)) },
  { title: 'CAME TO', value: cameTo },
  { title: 'ADDRESS', value: ({ address }: RecordedAttempt) => cut(printable(address ?? ''), 60) },
  { title: 'ANSWER', value: answerOf },
];

function cameTo({ errorClass, charged }: RecordedAttempt): string {
  if (errorClass === null) return 'delivered';
  return `${printable(errorClass)}${charged ? '' : ', not charged'}`;
}

function answerOf({ excerpt, message, status }: RecordedAttempt): string {
  const text = excerpt === null || excerpt === '' ? (status === null ? (message ?? '') : '') : excerpt;
  return cut(printable(text), 100);
}
