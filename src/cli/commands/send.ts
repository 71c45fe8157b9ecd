import { eventSchemas } from '../../config/eventSchemas.ts';
import { defineEvents } from '../../produce/defineEvents.ts';
import { enqueue } from '../../produce/enqueue.ts';
import type { NewEvent } from '../../produce/event.ts';
import type { Pool } from '../../storage/connect.ts';
import { readEventTypes } from '../../storage/configuration.ts';
import { isUnrouted } from '../../storage/status.ts';
import { readPayloadGiven, type AnyPayloadSource } from '../payloadGiven.ts';
import { withDatabase } from '../database.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';

export interface SendOptions extends AnyPayloadSource {
  readonly contentType?: string;
  readonly key?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly id?: string;
  readonly dedupKey?: string;
  readonly deliverAt?: Date;
}

/** `send`: one event, its payload's text or bytes untouched. */
export async function send(out: Output, type: string, options: SendOptions): Promise<void> {
  const payload = await readPayloadGiven(options, 'read');
  if (payload === undefined)
    refuseUsage(
      'no payload',
      'Give --payload or --file with JSON, --payload-file or --payload-base64 with bytes, or pipe JSON into this command.',
    );
  const { key, header, id, dedupKey, deliverAt, contentType } = options;
  if ('payloadBytes' in payload && contentType === undefined)
    refuseUsage('bytes need a content type', 'Give --content-type, such as application/avro or text/csv.');
  const event = {
    type,
    ...payload,
    ...(contentType === undefined ? {} : { contentType }),
    ...(key === undefined ? {} : { key }),
    ...(header === undefined ? {} : { headers: header }),
    ...(id === undefined ? {} : { id }),
    ...(dedupKey === undefined ? {} : { dedupKey }),
    ...(deliverAt === undefined ? {} : { deliverAt }),
  } as NewEvent;
  // A producer's role may insert events and nothing else, not even ask for the schema's version.
  await withDatabase(
    async (pool) => {
      // enqueue knows its client only, not where it leads: a server that is away is to be named.
      await pool.query('select 1');
      await refuseAgainstSchema(pool, event);
      const written = await enqueue(pool, event, { ownTransaction: true });
      const routed = await isRouted(pool, written.id);
      if (routed === false) out.warn(`no route takes ${type}: the event is kept and counted as unrouted`);
      out.result({ ...written, routed }, () =>
        written.inserted ? `${written.id}\n` : `${written.id} (was there before, nothing written)\n`,
      );
    },
    { anySchema: true },
  );
}

/** By the configuration that is applied; a producer's own role may not see it. */
async function refuseAgainstSchema(pool: Pool, event: NewEvent): Promise<void> {
  const events = await readEventTypes(pool).catch((error: unknown) => {
    if (['42501', '42P01'].includes(String((error as { code?: unknown }).code))) return {};
    throw error;
  });
  const schemas = eventSchemas({ events });
  if (Object.hasOwn(schemas, event.type)) await defineEvents(schemas).checked(event);
}

/** Null for a role that may not see it. */
async function isRouted(pool: Pool, eventId: string): Promise<boolean | null> {
  try {
    return !(await isUnrouted(pool, eventId));
  } catch (error) {
    if ((error as { code?: unknown }).code === '42501') return null;
    throw error;
  }
}
