import { OutboxError } from '../errors.ts';
import {
  claimMessage,
  currentTransaction,
  settledStatus,
  statusOf,
  type AppliedBefore,
  type ClaimOptions,
} from './claim.ts';
import { checkedMessage, type Message, type MessageOptions } from './message.ts';
import { firstRow, type SqlClient } from './sql.ts';

export interface ProcessOnceOptions extends MessageOptions, ClaimOptions {}

/** What the handler is told. */
export interface OnceContext {
  readonly messageId: string;
  readonly revision: number;
  /** With `onRevision: 'apply'`: the revision that was applied before, whose effect is still there. Else null. */
  readonly replaces: AppliedBefore | null;
}

/** Each of these may be acknowledged once your transaction has committed. */
export type Processed<T> =
  | { readonly outcome: 'processed'; readonly result: T; readonly replaces: AppliedBefore | null }
  /** `duplicate`: done before. `superseded`: a later revision was. `skipped`: by `onRevision: 'skip'`. */
  | { readonly outcome: 'duplicate' | 'superseded' | 'skipped'; readonly before: AppliedBefore };

/**
 * Calls `handler` for a message that was not done yet, in the transaction that `client` is in: its effect and the mark that
 * it is done commit together or not at all. What returns may be acknowledged, what throws may not.
 *
 * When the handler throws, the transaction can only be rolled back, as after any error of PostgreSQL.
 *
 * @throws OutboxError OUTBOX_INBOX_NO_TRANSACTION when the client is in none, or the handler ended it
 * @throws OutboxError OUTBOX_INBOX_IN_PROGRESS when another transaction has the message (see `wait`)
 * @throws OutboxError OUTBOX_INBOX_CONFLICT for the same id and revision with another payload
 * @throws OutboxError OUTBOX_INBOX_REVISION for an edited message whose original was applied (see `onRevision`)
 * @throws OutboxError OUTBOX_INBOX_EXPIRED for one that is older than what the inbox remembers
 * @throws OutboxError OUTBOX_INBOX_INVALID, OUTBOX_SCHEMA_MISSING; whatever the handler and PostgreSQL throw, of which 40001
 *   and 40P01 mean: repeat the whole transaction
 *
 * @example
 * await client.query('begin');
 * await processOnce(client, { consumer: 'billing', messageId }, () => client.query('insert into invoices …'));
 * await client.query('commit');
 */
export async function processOnce<T>(
  client: SqlClient,
  options: ProcessOnceOptions,
  handler: (context: OnceContext) => T | Promise<T>,
): Promise<Processed<T>> {
  const message = checkedMessage(options);
  const claim = await claimMessage(client, message, options, await currentTransaction(client));
  if (claim.outcome !== 'taken') return claim;
  try {
    const result = await runHandler(client, message, claim.replaces, handler);
    return { outcome: 'processed', result, replaces: claim.replaces };
  } catch (error) {
    await spoil(client, message);
    throw error;
  }
}

/** A handler that swallowed an error of PostgreSQL, or ended the transaction, has not done its work. */
export async function runHandler<T>(
  client: SqlClient,
  { messageId, revision }: Message,
  replaces: AppliedBefore | null,
  handler: (context: OnceContext) => T | Promise<T>,
): Promise<T> {
  const result = await handler({ messageId, revision, replaces });
  const status = await settledStatus(client);
  if (status === undefined || status === 'T') return result;
  throw new OutboxError(
    'OUTBOX_INBOX_NO_TRANSACTION',
    status === 'E'
      ? `the handler of message ${messageId} swallowed an error of PostgreSQL: its transaction can only be rolled back`
      : `the handler of message ${messageId} ended the transaction it was given`,
    {
      hint: 'Let errors of PostgreSQL pass, or use savepoints; leave begin, commit and rollback to the caller.',
    },
  );
}

/** Makes the transaction fail for good, should somebody swallow the exception and commit. */
async function spoil(client: SqlClient, { messageId }: Message): Promise<void> {
  if (statusOf(client) === 'I') return;
  await firstRow(client, 'select outbox_inbox.spoil($1::text)', [messageId]).catch(() => undefined);
}
