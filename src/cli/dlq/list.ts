import {
  listDeadLetters,
  readLastWords,
  type DeadLetter,
  type DeadLetterFilter,
} from '../../storage/deadLetters.ts';
import { countMessages } from '../../storage/messages.ts';
import { withDatabase } from '../database.ts';
import { refuseUnknownDestination } from '../knownDestination.ts';
import type { Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { cut, table } from '../table.ts';
import { readCursor, writeCursor } from '../cursor.ts';

export interface ListOptions {
  readonly destination?: string;
  readonly type?: string;
  readonly parkedFor?: string;
  /** What `parkedFor` was called before. */
  readonly reason?: string;
  readonly event?: string;
  readonly cause?: string;
  readonly status: 'open' | 'resolved' | 'all';
  readonly limit: number;
  readonly cursor?: string;
}

const cursorOf = {
  command: 'dlq list',
  idOf: (text: string): number | null =>
    /^[1-9]\d*$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null,
};

/** `dlq list` */
export async function list(out: Output, options: ListOptions): Promise<void> {
  const filter = filterOf(options);
  const before = options.cursor === undefined ? null : readCursor(options.cursor, filter, cursorOf);
  // One more than asked for tells whether there is a next page.
  const { found, parkedMessages, words } = await withDatabase(async (pool) => {
    const letters = await listDeadLetters(pool, filter, before, options.limit + 1);
    if (letters.length === 0) await refuseUnknownDestination(pool, options.destination);
    return {
      found: letters,
      words: await readLastWords(
        pool,
        letters.map(({ id }) => id),
      ),
      parkedMessages: (await countMessages(pool)).reduce((sum, { parked }) => sum + parked, 0),
    };
  });
  if (parkedMessages > 0)
    out.note(
      `besides, ${parkedMessages} half messages are parked: temporal-outbox messages list --status parked`,
    );
  const items = found
    .slice(0, options.limit)
    .map((letter) => ({ ...letter, lastExcerpt: words.get(letter.id) ?? null }));
  const last = items.at(-1);
  const nextCursor = found.length > items.length && last !== undefined ? writeCursor(last.id, filter) : null;
  out.result({ items, nextCursor, parkedMessages }, (colours) => {
    if (items.length === 0)
      return `no ${options.status === 'all' ? '' : `${options.status} `}dead letters match\n`;
    const more = nextCursor === null ? '' : `\nmore: --cursor ${nextCursor}\n`;
    return table(options.status === 'open' ? columns : [...columns, resolutionColumn], items, colours) + more;
  });
}

function filterOf(options: ListOptions): DeadLetterFilter {
  const { status, destination, type, parkedFor: reason = options.reason, event, cause } = options;
  return {
    status,
    ...(destination === undefined ? {} : { destination }),
    ...(type === undefined ? {} : { type }),
    ...(reason === undefined ? {} : { reason }),
    ...(event === undefined ? {} : { eventId: event }),
    ...(cause === undefined ? {} : { cause }),
  };
}

type Listed = DeadLetter & { readonly lastExcerpt: string | null };

/** The receiver's own words tell letters apart; the address and the status's name are alike in all of them. */
function lastAnswer({ lastStatus, lastErrorClass, lastError, lastExcerpt }: Listed): string {
  if (lastExcerpt === null) return lastError ?? lastErrorClass ?? '';
  return `${lastStatus ?? lastErrorClass ?? ''}: ${lastExcerpt.replace(/(\\[rn]|\s)+$/, '')}`;
}

const columns = [
  { title: 'ID', align: 'right' as const, value: ({ id }: DeadLetter) => String(id) },
  { title: 'PARKED (UTC)', value: ({ parkedAt }: DeadLetter) => shortTime(parkedAt) },
  { title: 'DESTINATION', value: ({ destination }: DeadLetter) => destination },
  { title: 'TYPE', value: ({ eventType }: DeadLetter) => cut(printable(eventType), 40) },
  { title: 'REASON', value: ({ reason }: DeadLetter) => reason },
  { title: 'TRIES', align: 'right' as const, value: ({ tries }: DeadLetter) => String(tries) },
  {
    title: 'LAST ANSWER',
    value: (letter: Listed) => cut(printable(lastAnswer(letter)), 72),
  },
];

const resolutionColumn = {
  title: 'RESOLVED',
  value: ({ resolution, resolvedBy }: DeadLetter) =>
    resolution === null ? '' : `${resolution} by ${printable(resolvedBy ?? 'somebody')}`,
};
