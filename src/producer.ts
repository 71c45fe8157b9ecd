/**
 * temporal-outbox/producer, and the whole of the package temporal-outbox-client: what a service needs that writes events or half
 * messages. Loads neither Temporal nor anything else but Node's own modules.
 */
export { enqueue, type EnqueuedEvent, type EnqueueOptions } from './produce/enqueue.ts';
export {
  defineEvents,
  type DefinedEvents,
  type EventSchemas,
  type TypedEvent,
} from './produce/defineEvents.ts';
export type { SchemaIssue, SchemaResult, StandardSchema } from './produce/standardSchema.ts';
export { encryptEvent } from './encryption/event.ts';
export { encryptionKeys, type EncryptionKeys, type KeyProvider } from './encryption/keys.ts';
export type { SqlAnswer, SqlClient } from './produce/client.ts';
export type { EventFields, EventPayload, NewEvent } from './produce/event.ts';
export type { JsonPayload } from './produce/payload.ts';
export { commitMessage, prepareMessage, readMessage, rollbackMessage } from './halfMessages/client.ts';
export type { MessageClient } from './halfMessages/client.ts';
export type { HalfMessage, PreparedMessage, SettledMessage } from './halfMessages/message.ts';
export { outboxApi, type OutboxApi, type OutboxApiOptions } from './halfMessages/api.ts';
export { answerCheckBack, withMessage } from './halfMessages/withMessage.ts';
export type { HalfTransaction, WithMessageResult } from './halfMessages/withMessage.ts';
export type { MarkerOptions, Markers } from './halfMessages/markers.ts';
export { postgresMarkers } from './halfMessages/postgresMarkers.ts';
export { mysqlMarkers } from './halfMessages/mysqlMarkers.ts';
export type { MessageState } from './core/messageState.ts';
export type { CheckBackAnswer, CheckBackQuestion } from './core/producer.ts';
export { OutboxError, isOutboxError, errorCatalogue, type ErrorCode } from './errors.ts';
