/** Which dead letters a command is about, whoever sends it. */
import { OutboxError } from '../errors.ts';
import type { Queryable } from '../storage/connect.ts';
import { findDeadLetters, type DeadLetter } from '../storage/deadLetters.ts';
import type { Resolved } from './operator.ts';

/**
 * Those of the ids that can be resolved, and a refusal for each that was already.
 * @throws OutboxError OUTBOX_NOT_FOUND when one does not exist: nothing is done then
 */
export async function openOnes(
  db: Queryable,
  ids: readonly number[],
): Promise<{ open: DeadLetter[]; refused: Resolved[] }> {
  const found = new Map((await findDeadLetters(db, ids)).map((letter) => [letter.id, letter]));
  const missing = ids.filter((id) => !found.has(id));
  if (missing.length > 0) throw notFound(missing);
  const letters = ids.flatMap((id) => found.get(id) ?? []);
  return {
    open: letters.filter(({ resolvedAt }) => resolvedAt === null),
    refused: letters.filter(({ resolvedAt }) => resolvedAt !== null).map(refusalOf),
  };
}

function refusalOf(letter: DeadLetter): Resolved {
  const { resolution, resolvedBy, resolvedAt } = letter;
  const message = `it was resolved before: ${resolution} by ${resolvedBy ?? 'somebody'} at ${resolvedAt}`;
  return { target: letter, outcome: 'refused', message };
}

export function notFound(ids: readonly number[]): OutboxError {
  const which = ids.length === 1 ? `dead letter ${ids[0]}` : `dead letters ${ids.join(', ')}`;
  return new OutboxError('OUTBOX_NOT_FOUND', `there is no ${which}`, {
    hint: 'temporal-outbox dlq list --status all',
  });
}
