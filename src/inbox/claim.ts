/** One round trip: takes a message for this transaction, or says what was done before. */
import { OutboxError } from '../errors.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import { invalid, type Message } from './message.ts';
import { missingInbox } from './migrate.ts';
import { firstRow, textLiteral, type SqlClient } from './sql.ts';

export interface AppliedBefore {
  /** 1 for the event as it was written; each edit adds one. */
  readonly revision: number;
  /** null where none was given. */
  readonly payloadHash: string | null;
  /** When the transaction that applied it began. */
  readonly appliedAt: Date;
}

/**
 * What to do with an edited message when the one it replaces was applied:
 * `refuse` throws OUTBOX_INBOX_REVISION, so that a person looks at it; `apply` calls the handler with what was applied
 * before, for handlers that can make up the difference; `skip` acknowledges without a call.
 */
export type OnRevision = (typeof policies)[number];

const policies = ['refuse', 'apply', 'skip'] as const;

export interface ClaimOptions {
  /** Default `refuse`. */
  readonly onRevision?: OnRevision;
  /**
   * For another transaction that is at work on the same message: `true`, until it ends; milliseconds, so long; `false`, not
   * at all. After that OUTBOX_INBOX_IN_PROGRESS. Default `true`, within your own `lock_timeout`.
   */
  readonly wait?: boolean | number;
}

/** `done` and the others may be acknowledged; all that may not is thrown. */
export type Claim =
  | { readonly outcome: 'taken'; readonly replaces: AppliedBefore | null }
  | { readonly outcome: 'duplicate' | 'superseded' | 'skipped'; readonly before: AppliedBefore };

export interface ClaimRow {
  readonly outcome: string;
  readonly revision: number | null;
  readonly payload_hash: string | null;
  readonly applied_at_ms: number | string | null;
}

/**
 * @param transaction what {@link currentTransaction} answered; null to leave that unchecked
 * @throws OutboxError OUTBOX_INBOX_… when the message must not be acknowledged
 */
export async function claimMessage(
  client: SqlClient,
  message: Message,
  options: ClaimOptions,
  transaction: string | null,
): Promise<Claim> {
  const { consumer, messageId, revision, payloadHash } = message;
  const { onRevision, waitMs } = checkedClaimOptions(options);
  const values = [consumer, messageId, revision, payloadHash, onRevision, waitMs, transaction];
  try {
    const row = await firstRow<ClaimRow>(
      client,
      `${selected} outbox_inbox.claim($1::text, $2::text, $3::int, $4::text, $5::text, $6::int, $7::text::xid8)`,
      values,
    );
    return claimed(row as ClaimRow, message);
  } catch (error) {
    throw explainedClaim(error);
  }
}

const selected = `select outcome, revision, payload_hash, extract(epoch from applied_at)::float8 * 1000 as applied_at_ms from`;

/** The same as text that holds its values, to travel with the `begin` before it; what it answers is for {@link claimed}. */
export function claimStatement(
  { consumer, messageId, revision, payloadHash }: Message,
  options: ClaimOptions,
): string {
  const { onRevision, waitMs } = checkedClaimOptions(options);
  const values = [
    ...[textLiteral(consumer), textLiteral(messageId), `${revision}::int`],
    ...[payloadHash === null ? 'null::text' : textLiteral(payloadHash), textLiteral(onRevision)],
    `${waitMs ?? 'null'}::int`,
  ];
  return `${selected} outbox_inbox.claim(${values.join(', ')})`;
}

/** @throws OutboxError OUTBOX_INBOX_INVALID */
export function checkedClaimOptions({ onRevision = 'refuse', wait = true }: ClaimOptions) {
  if (!policies.includes(onRevision)) throw invalid('onRevision', policies.join(' or '), onRevision);
  const ms = wait === true ? null : wait === false ? 0 : wait;
  if (ms !== null && !(Number.isInteger(ms) && ms >= 0 && ms <= 2 ** 31 - 1))
    throw invalid('wait', 'true, false or whole milliseconds', wait);
  return { onRevision, /** Null: for as long as it takes. */ waitMs: ms };
}

/** @throws OutboxError OUTBOX_INBOX_… when the message must not be acknowledged */
export function claimed(row: ClaimRow, { messageId, revision }: Message): Claim {
  const appliedAt = new Date(Number(row.applied_at_ms));
  const before = { revision: row.revision ?? 0, payloadHash: row.payload_hash, appliedAt };
  const when = row.applied_at_ms === null ? '' : appliedAt.toISOString();
  switch (row.outcome) {
    case 'new':
      return { outcome: 'taken', replaces: null };
    case 'revision':
      return { outcome: 'taken', replaces: before };
    case 'duplicate':
    case 'superseded':
    case 'skipped':
      return { outcome: row.outcome, before };
    case 'in-progress':
      throw new OutboxError(
        'OUTBOX_INBOX_IN_PROGRESS',
        `message ${messageId} is being processed by another transaction`,
        { hint: 'Do not acknowledge it; let it come again.' },
      );
    case 'conflict':
      throw new OutboxError(
        'OUTBOX_INBOX_CONFLICT',
        `message ${messageId}, revision ${revision}, was applied at ${when} with another payload`,
        { hint: 'The sender uses one id for two messages; a changed message needs a new id or revision.' },
      );
    case 'revision-refused':
      throw new OutboxError(
        'OUTBOX_INBOX_REVISION',
        `revision ${revision} of message ${messageId} arrived, but revision ${before.revision} was applied at ${when}`,
        { hint: 'Discard the edited one, or have the handler make up the difference (onRevision: apply).' },
      );
    case 'expired':
      throw new OutboxError(
        'OUTBOX_INBOX_EXPIRED',
        `message ${messageId} is older than what the inbox remembers (since ${when}): whether it was applied is not known`,
        { hint: 'Look whether its effect is there; remember for longer with inbox migrate --retention.' },
      );
    default:
      throw new OutboxError(
        'OUTBOX_INBOX_INVALID',
        `messageId: expected a UUIDv7 of the past, got one of the future: ${messageId}`,
      );
  }
}

/** What went wrong with the statement itself, for people. */
export function explainedClaim(error: unknown): unknown {
  const { code } = driverErrorOf(error);
  if (code === 'OI001') return outsideTransaction(error);
  return code === '3F000' || code === '42P01' || code === '42883' ? missingInbox(error) : error;
}

/**
 * The id of the transaction the client is in, to be compared in the next statement; null when the driver (`pg`) vouches
 * for an open one, which saves the round trip. Without a transaction each statement has an id of its own.
 */
export async function currentTransaction(client: SqlClient): Promise<string | null> {
  if (statusOf(client) === 'T') return null;
  const row = await firstRow<{ id: string }>(client, 'select pg_current_xact_id()::text as id');
  return row?.id ?? null;
}

type TransactionStatus = 'I' | 'T' | 'E';

/** What `pg` knows beyond `query`. */
interface PgClient {
  getTransactionStatus?(): TransactionStatus | null;
  readonly readyForQuery?: boolean;
}

/** Of the last statement that ended: I idle, T in a transaction, E in a failed one; undefined with other drivers. */
export function statusOf(client: SqlClient): TransactionStatus | undefined {
  return (client as PgClient).getTransactionStatus?.() ?? undefined;
}

/** `pg` rejects a failed statement a moment before it hears what became of the transaction: then one more round trip. */
export async function settledStatus(client: SqlClient): Promise<TransactionStatus | undefined> {
  if ((client as PgClient).readyForQuery === false) {
    const alive = await client.query('select 1', []).then(
      () => true,
      () => false,
    );
    if (!alive) return 'E';
  }
  return statusOf(client);
}

export function outsideTransaction(cause?: unknown): OutboxError {
  return new OutboxError('OUTBOX_INBOX_NO_TRANSACTION', 'processOnce was called outside of a transaction', {
    hint: 'Run begin on this same client first, do the work through it, then commit. A pool is not a client.',
    cause,
  });
}
