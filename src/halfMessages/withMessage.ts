import type { CheckBackAnswer } from '../core/producer.ts';
import { isOutboxError, OutboxError } from '../errors.ts';
import { commitMessage, prepareChecked, rollbackMessage, type MessageClient } from './client.ts';
import type { Markers } from './markers.ts';
import { assertMessageId, checkMessage, type HalfMessage } from './message.ts';

/** Where the message goes, and where your own data lives. */
export interface HalfTransaction<Connection> {
  readonly outbox: MessageClient;
  readonly db: Markers<Connection>;
}

export interface WithMessageResult<T> {
  /** Of the message, and of its event. */
  readonly id: string;
  /** What your function answered. */
  readonly value: T;
  /** False: your transaction is committed, the outbox could not be told, and learns it by the check-back. */
  readonly told: boolean;
}

/**
 * Your transaction and a message that is delivered if, and only if, the transaction commits. Prepares the message; begins a
 * transaction on your database with the message's marker in it; runs `work` on its connection; commits; tells the outbox. Where
 * `work` throws, it rolls back, tells the outbox so, and throws the same.
 *
 * Whatever is cut in between (this process killed, either database away) is settled by the check-back, which reads the marker.
 *
 * @throws OutboxError as prepareMessage: nothing of yours was begun, and the hint says so
 * @throws what your database threw at COMMIT: as ever it may or may not be committed, and the message follows it
 */
export async function withMessage<Connection, T>(
  tx: HalfTransaction<Connection>,
  message: HalfMessage,
  work: (connection: Connection, id: string) => Promise<T>,
): Promise<WithMessageResult<T>> {
  const checked = checkMessage(message);
  const { id } = checked;
  await prepareChecked(tx.outbox, checked).catch(notBegun);
  const outcome = await tx.db.transaction(id, (connection) => work(connection, id));
  if (outcome.end === 'committed') return { id, value: outcome.value, told: await tellCommitted(tx, id) };
  if (outcome.end === 'rolled-back') await rollbackMessage(tx.outbox, id).catch(() => undefined);
  throw outcome.error;
}

/** Whoever cannot reach the outbox asks first what became of the order. */
function notBegun(error: unknown): never {
  if (!isOutboxError(error) || !/_UNREACHABLE$/.test(error.code)) throw error;
  const { code, message, hint = '' } = error;
  throw new OutboxError(code, message, {
    cause: error,
    hint: `Your transaction was not begun: nothing of yours has changed. ${hint}`.trimEnd(),
  });
}

/** Not being able to tell is no failure of the transaction; that a person decided otherwise is one. */
async function tellCommitted(
  { outbox }: Pick<HalfTransaction<never>, 'outbox'>,
  id: string,
): Promise<boolean> {
  try {
    await commitMessage(outbox, id);
    return true;
  } catch (error) {
    if (isOutboxError(error) && error.code === 'OUTBOX_MESSAGE_SETTLED') throw error;
    return false;
  }
}

/**
 * The answer to a check-back, and a final one: where there is no marker yet, `rolled-back` is written under the same unique key, so
 * that a local transaction that comes later fails. `unknown` while one is still open. Not to be called inside a transaction.
 */
export async function answerCheckBack<Connection>(
  db: Markers<Connection>,
  id: string,
): Promise<CheckBackAnswer> {
  assertMessageId(id);
  return db.answer(id.toLowerCase());
}
