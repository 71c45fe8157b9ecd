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
  events_headers_are_strings: 'headers: more than 16384 bytes',
  events_content_type_fits: 'contentType: expected a media type such as application/json',
};

/** An {@link OutboxError} for what is wrong with the event, undefined for any other error. */
export function explainRefusedEvent(error: unknown): OutboxError | undefined {
  const { code = '', constraint = '', message = '', detail } = driverErrorOf(error);
  if (code === '42501') return denied(error, message);
  const where = code === '23514' ? brokenCheck(constraint, message) : bySqlState[code];
  if (where === undefined) return undefined;
  const what = detail === undefined || code === '23514' ? message : `${message} (${detail})`;
  return new OutboxError('OUTBOX_EVENT_INVALID', `${where}: ${what}`, {
    cause: error,
    hint: 'Nothing was written; as after every error of PostgreSQL, the transaction can only be rolled back.',
  });
}

function brokenCheck(constraint: string, message: string): string {
  if (message.includes('no partition'))
    return 'id: not a UUIDv7 of the last days; leave it out, or make a new one';
  return byConstraint[constraint] ?? 'event';
}

function denied(cause: unknown, message: string): OutboxError {
  return new OutboxError('OUTBOX_POSTGRES_DENIED', `this role may not write events: ${message}`, {
    cause,
    hint: 'As the owner of the outbox: grant outbox_producer to <the role of this service>.',
  });
}
