import { randomUUID } from 'node:crypto';
import type { MessageAction } from '../../core/command.ts';
import { printable } from '../../core/printable.ts';
import { OutboxError } from '../../errors.ts';
import { readMessageState, resolveMessages } from '../../storage/messages.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';
import { whoOf, type WhoOptions } from '../who.ts';

/**
 * `messages commit`, `rollback`, `check`: in PostgreSQL, so that it works whether or not the message has a workflow yet, and while
 * Temporal is away. A relay then tells the workflow. Answers the exit code.
 */
export async function settle(
  out: Output,
  action: MessageAction,
  id: string,
  options: WhoOptions,
): Promise<0 | 1> {
  const command = {
    action,
    events: [id],
    ...whoOf(options),
    commandId: randomUUID(),
  };
  const { answer, state } = await withDatabase(
    async (pool) => {
      if ((await readMessageState(pool, id)) === undefined) {
        throw new OutboxError('OUTBOX_NOT_FOUND', `there is no half message ${id}`, {
          hint: 'temporal-outbox messages list --status all',
        });
      }
      const answered = await resolveMessages(pool, null, command, 'cli');
      return { answer: answered, state: await readMessageState(pool, id) };
    },
    { patient: out },
  );
  const { outcome, message } = answer;
  const value = {
    action,
    id,
    outcome,
    message,
    state: state?.state ?? null,
    eventId: state?.eventId ?? null,
  };
  out.result(value, (colours) =>
    outcome === 'done'
      ? `${colours.green('done')} ${printable(message)}\n`
      : `${colours.red('refused')} ${printable(message)}\n`,
  );
  return outcome === 'done' ? 0 : 1;
}
