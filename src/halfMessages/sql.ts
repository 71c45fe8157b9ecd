/** The calls as SQL: one statement each, on any client. */
import type { MessageState } from '../core/messageState.ts';
import { OutboxError } from '../errors.ts';
import type { SqlClient } from '../produce/enqueue.ts';
import { explainRefusedEvent } from '../produce/refusals.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { messageColumns } from '../storage/messageColumns.ts';
import type { CheckedMessage, PreparedMessage, SettledMessage } from './message.ts';

export async function prepareMessage(client: SqlClient, message: CheckedMessage): Promise<PreparedMessage> {
  const rows = await ask<PreparedMessage>(
    client,
    `select message_id as id, state, inserted from outbox.prepare_message($1, $2, $3::jsonb, $4::uuid, $5, $6::jsonb,
       $7::timestamptz, $8, $9, $10)`,
    [
      message.producer,
      message.type,
      message.payloadText,
      message.id,
      message.key ?? null,
      message.headers === undefined ? null : JSON.stringify(message.headers),
      message.deliverAt?.toISOString() ?? null,
      message.source ?? null,
      message.subject ?? null,
      message.contentType ?? null,
    ],
  );
  return rows[0] as PreparedMessage;
}

export async function settleMessage(
  client: SqlClient,
  id: string,
  how: 'commit' | 'rollback',
): Promise<SettledMessage> {
  const rows = await ask<SettledMessage>(
    client,
    `select message_id as id, state, event_id as "eventId", changed from outbox.${how}_message($1::uuid)`,
    [id],
  );
  return rows[0] as SettledMessage;
}

export async function readMessage(client: SqlClient, id: string): Promise<MessageState> {
  const [found] = await ask<MessageState>(
    client,
    `select ${messageColumns('m.message_id')} from outbox.message_state($1::uuid) m`,
    [id],
  );
  if (found !== undefined) return found;
  throw new OutboxError('OUTBOX_NOT_FOUND', `there is no half message ${id}`, {
    hint: 'It was never prepared, or was settled more than a week ago.',
  });
}

async function ask<Row>(client: SqlClient, text: string, values: unknown[]): Promise<Row[]> {
  const { rows } = await client.query(text, values).catch(explain);
  return rows as Row[];
}

function explain(error: unknown): never {
  throw (
    explainConflict(error) ?? explainRefusedEvent(error) ?? explainDatabaseError(error, 'the outbox database')
  );
}

/** Somebody wrote an event under the message's id. */
function explainConflict(error: unknown): OutboxError | undefined {
  const { code, table, constraint, message } = (error ?? {}) as Record<string, string | undefined>;
  if (code !== '23505' || !/^events/.test(table ?? constraint ?? '')) return undefined;
  return new OutboxError('OUTBOX_EVENT_CONFLICT', `an event has the id of this message: ${message}`, {
    cause: error,
    hint: 'Ids of half messages are for nothing else. Roll this one back and prepare it again under a new id.',
  });
}
