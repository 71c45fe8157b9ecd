/** What PostgreSQL alone can find wrong with an event: how long its jsonb prints, how far its numbers reach. */
import { OutboxError } from '../errors.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import { payloadBytesMax } from './event.ts';

const bySqlState: Readonly<Record<string, string>> = {
  '22P02': 'payload: not JSON as PostgreSQL understands it',
  '22P05': 'payload: a character that PostgreSQL cannot store',
  '22021': 'a character that PostgreSQL cannot store',
  '22003': 'payload: a number too large for PostgreSQL',
  '22008': 'deliverAt: not a time that PostgreSQL can store',
  '54000': 'payload: more than PostgreSQL can store in one value',
  '54001': 'payload: nested too deeply for PostgreSQL',
};

const byConstraint: Readonly<Record<string, string>> = {
  events_payload_fits: `payload: more than ${payloadBytesMax} bytes as PostgreSQL prints it (with a space after each colon and comma)`,
  events_payload_bytes_fit: `payloadBytes: more than ${payloadBytesMax} bytes`,
  events_have_one_payload: 'payload: expected exactly one of payload and payload_bytes',
  events_bytes_say_what_they_are:
    'contentType: payload_bytes need one that says what they are, such as application/avro',
  events_headers_are_strings: 'headers: more than 16384 bytes',
  events_content_type_fits: 'contentType: expected a media type such as application/json',
};

/** An {@link OutboxError} for what is wrong with the event, undefined for any other error. */
export function explainRefusedEvent(error: unknown): OutboxError | undefined {
  const { code = '', constraint = '', message = '', detail } = driverErrorOf(error);
  if (code === '42501') return denied(error, message);
  if (code === '23514' && /^no partition of relation "events"/.test(message))
    return missingDay(error, detail);
  const where = code === '23514' ? (byConstraint[constraint] ?? 'event') : bySqlState[code];
  if (where === undefined) return undefined;
  const what = detail === undefined || code === '23514' ? message : `${message} (${detail})`;
  return new OutboxError('OUTBOX_EVENT_INVALID', `${where}: ${what}`, {
    cause: error,
    hint: 'Nothing was written; as after every error of PostgreSQL, the transaction can only be rolled back.',
  });
}

const dayMs = 86_400_000;
/** What `make_partitions` looks ahead, and the shortest time that events are kept. */
const surelyThere = { backMs: dayMs, aheadMs: 2 * dayMs };

/** PostgreSQL names the row it could not place: its id tells whether that day should be there. */
function missingDay(error: unknown, detail = ''): OutboxError {
  const id = /\(id\) = \(([0-9a-f-]{36})\)/.exec(detail)?.[1];
  const at = id === undefined ? Date.now() : parseInt(id.replaceAll('-', '').slice(0, 12), 16);
  const day = new Date(at).toISOString().slice(0, 10);
  const now = Date.now();
  if (at < now - surelyThere.backMs || at > now + surelyThere.aheadMs) {
    return new OutboxError(
      'OUTBOX_EVENT_INVALID',
      `id: ${id} is of ${day}, for which outbox.events has no partition`,
      {
        cause: error,
        hint: 'Leave it out, or make a UUIDv7 when you write the event, on a machine whose clock is right.',
      },
    );
  }
  return new OutboxError('OUTBOX_PARTITION_MISSING', `outbox.events has no partition for ${day}`, {
    cause: error,
    hint: 'The event is not at fault. temporal-outbox run makes the days ahead while it runs; temporal-outbox housekeeping run or migrate makes them now.',
  });
}

function denied(cause: unknown, message: string): OutboxError {
  return new OutboxError('OUTBOX_POSTGRES_DENIED', `this role may not write events: ${message}`, {
    cause,
    hint: 'As the owner of the outbox: grant outbox_producer to <the role of this service>.',
  });
}
