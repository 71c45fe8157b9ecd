/** The producer's three calls, over SQL or over the HTTP API. Loads nothing of Temporal, and needs none. */
import type { MessageState } from '../core/messageState.ts';
import type { SqlClient } from '../produce/client.ts';
import type { OutboxApi } from './api.ts';
import {
  assertMessageId,
  checkMessage,
  type CheckedMessage,
  type HalfMessage,
  type PreparedMessage,
  type SettledMessage,
} from './message.ts';
import * as sql from './sql.ts';

/** Something with `query(text, values)` on the outbox's database, not in a transaction; or an {@link OutboxApi}. */
export type MessageClient = SqlClient | OutboxApi;

/**
 * Stores a message that is not delivered yet. Durable when it returns; repeating it with the same id is harmless.
 *
 * @throws OutboxError OUTBOX_EVENT_INVALID, OUTBOX_PRODUCER_UNKNOWN, OUTBOX_EVENT_CONFLICT (same id, other content)
 * @throws OutboxError OUTBOX_POSTGRES_UNREACHABLE or OUTBOX_API_UNREACHABLE: it may or may not be prepared; change nothing of
 *   yours, and the check-back ends it
 */
export async function prepareMessage(client: MessageClient, message: HalfMessage): Promise<PreparedMessage> {
  return prepareChecked(client, checkMessage(message));
}

export async function prepareChecked(
  client: MessageClient,
  message: CheckedMessage,
): Promise<PreparedMessage> {
  return isApi(client) ? client.prepareMessage(message) : sql.prepareMessage(client, message);
}

/**
 * Makes the message an event, at once, whatever its state and however often it is called.
 *
 * @throws OutboxError OUTBOX_MESSAGE_SETTLED when it was rolled back, OUTBOX_NOT_FOUND when it was never prepared or was settled
 *   more than a week ago
 */
export async function commitMessage(client: MessageClient, id: string): Promise<SettledMessage> {
  assertMessageId(id);
  return isApi(client) ? client.commitMessage(id) : sql.settleMessage(client, id, 'commit');
}

/** Takes the message back. @throws OutboxError as {@link commitMessage}, when it was committed */
export async function rollbackMessage(client: MessageClient, id: string): Promise<SettledMessage> {
  assertMessageId(id);
  return isApi(client) ? client.rollbackMessage(id) : sql.settleMessage(client, id, 'rollback');
}

/** How a message stands. @throws OutboxError OUTBOX_NOT_FOUND */
export async function readMessage(client: MessageClient, id: string): Promise<MessageState> {
  assertMessageId(id);
  return isApi(client) ? client.readMessage(id) : sql.readMessage(client, id);
}

function isApi(client: MessageClient): client is OutboxApi {
  return 'prepareMessage' in client;
}
