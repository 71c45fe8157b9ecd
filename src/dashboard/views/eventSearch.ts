import * as z from 'zod';
import { eventStates } from '../../core/eventState.ts';
import { inReadOnly } from '../../storage/connect.ts';
import { listEvents, type EventFilter } from '../../storage/events.ts';
import { endpoint } from '../endpoint.ts';
import { destination, eventType, key, limit, uuid } from '../inputs.ts';

/** A rare type reads days of events backwards: PostgreSQL gives up in time. */
const withinMs = 5_000;

export const eventSearchEndpoints = [
  endpoint({
    method: 'GET',
    path: '/events',
    operationId: 'listEvents',
    summary: 'Events by key, type and where a delivery stands, the newest first.',
    need: 'look',
    query: z.strictObject({
      key: key.optional(),
      type: eventType.optional(),
      state: z.enum(eventStates).optional(),
      destination: destination.optional(),
      cursor: uuid.optional(),
      limit: limit(200, 50),
    }),
    handle: async ({ pool, query }) => {
      const { cursor = null, limit: most, ...given } = query;
      const filter = Object.fromEntries(
        Object.entries(given).filter(([, value]) => value !== undefined),
      ) as EventFilter;
      const found = await inReadOnly(pool, withinMs, (db) => listEvents(db, filter, cursor, most + 1));
      const items = found.slice(0, most);
      return { items, next: found.length > most ? (items.at(-1)?.id ?? null) : null };
    },
  }),
];
