import { eventSchemas } from '../../config/eventSchemas.ts';
import { ConfiguredKeys } from '../../encryption/configured.ts';
import type { KeyProvider } from '../../encryption/keys.ts';
import { defineEvents } from '../../produce/defineEvents.ts';
import { enqueue } from '../../produce/enqueue.ts';
import type { NewEvent } from '../../produce/event.ts';
import type { Pool } from '../../storage/connect.ts';
import { readEventTypes } from '../../storage/configuration.ts';
import { readEncryption } from '../../storage/encryption.ts';
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
  readonly plain?: boolean;
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
      const encryption = options.plain === true ? undefined : await keysOf(pool, out);
      const how = encryption === undefined ? {} : { encryption };
      const written = await enqueue(pool, event, { ownTransaction: true, ...how });
      const routed = await isRouted(pool, written.id);
      if (routed === false) out.warn(`no route takes ${type}: the event is kept and counted as unrouted`);
      out.result({ ...written, routed, encrypted: encryption !== undefined }, () =>
        written.inserted ? `${written.id}\n` : `${written.id} (was there before, nothing written)\n`,
      );
    },
    { anySchema: true },
  );
}

/** Where the applied configuration has keys, its current one: who writes by hand keeps to what the services do. */
async function keysOf(pool: Pool, out: Output): Promise<KeyProvider | undefined> {
  const configured = await unlessHidden(readEncryption(pool), 'hidden' as const);
  if (configured === 'hidden')
    out.note('this login may not see whether payloads are to be encrypted: this one is not');
  return configured === null || configured === 'hidden'
    ? undefined
    : new ConfiguredKeys(pool, process.env).load();
}

/** A producer's own role may not see the configuration that is applied. */
async function unlessHidden<Found, Otherwise>(
  reading: Promise<Found>,
  otherwise: Otherwise,
): Promise<Found | Otherwise> {
  return reading.catch((error: unknown) => {
    if (['42501', '42P01'].includes(String((error as { code?: unknown }).code))) return otherwise;
    throw error;
  });
}

async function refuseAgainstSchema(pool: Pool, event: NewEvent): Promise<void> {
  const schemas = eventSchemas({ events: await unlessHidden(readEventTypes(pool), {}) });
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
