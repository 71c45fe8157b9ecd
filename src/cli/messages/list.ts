import type { MessageState } from '../../core/messageState.ts';
import { listMessages, type MessageStatus } from '../../storage/messages.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { cut, table } from '../table.ts';

export interface ListOptions {
  readonly status: MessageStatus;
  readonly producer?: string;
  readonly limit: number;
  readonly before?: string;
}

/** `messages list` */
export async function list(out: Output, { status, producer, limit, before }: ListOptions): Promise<void> {
  const filter = { status, ...(producer === undefined ? {} : { producer }) };
  // One more than asked for tells whether there is a next page.
  const found = await withDatabase((pool) => listMessages(pool, filter, before ?? null, limit + 1));
  const items = found.slice(0, limit);
  const next = found.length > items.length ? (items.at(-1)?.id ?? null) : null;
  out.result({ items, next }, (colours) => {
    if (items.length === 0) return `no ${status === 'all' ? '' : `${status} `}half messages\n`;
    return table(columns, items, colours) + (next === null ? '' : `\nmore: --before ${next}\n`);
  });
}

const columns = [
  { title: 'ID', value: ({ id }: MessageState) => id },
  { title: 'PREPARED (UTC)', value: ({ preparedAt }: MessageState) => shortTime(preparedAt) },
  { title: 'PRODUCER', value: ({ producer }: MessageState) => producer },
  { title: 'TYPE', value: ({ type }: MessageState) => cut(printable(type), 40) },
  { title: 'STATE', value: ({ state }: MessageState) => state },
  { title: 'CHECKS', align: 'right' as const, value: ({ checks }: MessageState) => String(checks) },
  {
    title: 'LAST ANSWER',
    value: ({ lastAnswer, settledBy }: MessageState) =>
      settledBy === null ? cut(printable(lastAnswer ?? ''), 72) : `by ${printable(settledBy)}`,
  },
];
