import { listEvents, type EventFilter, type ListedEvent } from '../../storage/events.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import { withDatabase } from '../database.ts';
import { refuseUnknownDestination } from '../knownDestination.ts';
import type { Colours, Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { cut, printable, table } from '../table.ts';
import { shownState, storedState } from './states.ts';
import { uuidPattern } from '../../core/uuid.ts';

export interface EventListOptions {
  readonly key?: string;
  readonly type?: string;
  readonly since?: Date;
  /** As people read it. */
  readonly state?: string;
  readonly destination?: string;
  readonly limit: number;
  readonly cursor?: string;
}

const cursorOf = {
  command: 'events list',
  idOf: (text: string): string | null => (uuidPattern.test(text) ? text : null),
};

/** `events list` */
export async function list(out: Output, options: EventListOptions): Promise<void> {
  const filter = filterOf(options);
  // A duration counts back from now, which is another moment at the next page: that page goes on from an id anyway.
  const { since: _, ...marked } = filter;
  const before = options.cursor === undefined ? null : readCursor(options.cursor, marked, cursorOf);
  // One more than asked for tells whether there is a next page.
  const found = await withDatabase(async (pool) => {
    const events = await listEvents(pool, filter, before, options.limit + 1);
    if (events.length === 0) await refuseUnknownDestination(pool, options.destination);
    return events;
  });
  const items = found.slice(0, options.limit);
  const last = items.at(-1);
  const nextCursor = found.length > items.length && last !== undefined ? writeCursor(last.id, marked) : null;
  out.result({ items, nextCursor }, (colours) => {
    if (items.length === 0) return 'no events match\n';
    const more = nextCursor === null ? '' : `\nmore: --cursor ${nextCursor}\n`;
    return table(columnsOf(colours), items, colours) + more;
  });
}

function filterOf({ key, type, since, state, destination }: EventListOptions): EventFilter {
  const stored = state === undefined ? undefined : storedState(state);
  return {
    ...(key === undefined ? {} : { key }),
    ...(type === undefined ? {} : { type }),
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...(stored === undefined ? {} : { state: stored }),
    ...(destination === undefined ? {} : { destination }),
  };
}

function columnsOf(colours: Colours) {
  return [
    { title: 'WRITTEN (UTC)', value: ({ createdAt }: ListedEvent) => shortTime(createdAt) },
    { title: 'ID', value: ({ id }: ListedEvent) => id },
    { title: 'TYPE', value: ({ type }: ListedEvent) => cut(printable(type), 40) },
    { title: 'KEY', value: ({ key }: ListedEvent) => cut(printable(key ?? ''), 40) },
    { title: 'STANDS', value: (event: ListedEvent) => standsText(event, colours) },
  ];
}

function standsText({ standings, unrouted, erasedAt }: ListedEvent, colours: Colours): string {
  const at = standings.map(({ destination, state }) => {
    const text = `${printable(destination)} ${shownState(state)}`;
    return state === 'parked' ? colours.red(text) : text;
  });
  const said = [
    ...at,
    ...(unrouted ? [colours.yellow('no route took it')] : []),
    ...(erasedAt === null ? [] : ['erased']),
  ];
  return said.join(', ');
}
