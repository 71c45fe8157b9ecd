/**
 * temporal-outbox/inbox: the consumer's side. Each message has its effect once, in a transaction of yours. Loads neither
 * Temporal nor a PostgreSQL driver.
 */
export { processOnce, type OnceContext, type Processed, type ProcessOnceOptions } from './processOnce.ts';
export type { AppliedBefore, ClaimOptions, OnRevision } from './claim.ts';
export { hashPayload, parseMessageId, type MessageOptions } from './message.ts';
export { advance, type Advanced, type AdvanceOptions } from './advance.ts';
export type { TableName } from './identifier.ts';
export { migrateInbox, type InboxMigrationReport, type MigrateInboxOptions } from './migrate.ts';
export { maintainInbox, type InboxMaintenance } from './maintain.ts';
export { checkInbox, longestRetryMs, type InboxReport, type SenderTimes } from './check.ts';
export {
  listParked,
  resolveParked,
  showParked,
  type ParkedDetail,
  type ParkedFilter,
  type ParkedMessage,
  type Resolution,
} from './parked.ts';
export type { SqlClient } from './sql.ts';
