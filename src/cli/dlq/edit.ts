import { prepareEdit } from '../../deadletter/edit.ts';
import type { Pool } from '../../storage/connect.ts';
import { readDeadLetterEvent, type DeadLetter } from '../../storage/deadLetters.ts';
import { isOutboxError, OutboxError } from '../../errors.ts';
import { readPayloadGiven, type AnyPayloadSource } from '../payloadGiven.ts';
import { checkedJson } from '../arguments.ts';
import { refuseUsage } from '../failure.ts';
import { firstOf } from '../../storage/connect.ts';
import type { Output } from '../output.ts';
import { whoOf, type WhoOptions } from './who.ts';

export interface EditOptions extends WhoOptions, AnyPayloadSource {
  readonly header?: Readonly<Record<string, string>>;
  readonly editor?: boolean;
  readonly wait?: boolean;
}

/** `dlq edit` */
export async function edit(out: Output, id: number, options: EditOptions): Promise<0 | 1 | 3> {
  const payload = await readPayloadGiven(options, 'ignore');
  const isNothing = payload === undefined && options.header === undefined;
  if (payload !== undefined && options.editor === true) refuseUsage('give --editor or a payload, not both');
  // At a terminal somebody is there to edit; a script would hang.
  const byHand = options.editor === true || (isNothing && !out.json && process.stdin.isTTY === true);
  if (isNothing && !byHand)
    refuseUsage(
      'nothing to change',
      'Give --payload, --file, --payload-file, --payload-base64 or --header; --editor opens it in $EDITOR.',
    );
  // After the mistakes: it loads Temporal, which takes its time.
  const { openOnes, reportAndWait, reportResolved, withOperator } = await import('./operate.ts');
  return withOperator(out, options.timeout, async (operator, pool) => {
    const { open, refused } = await openOnes(pool, [id]);
    const [letter] = open;
    if (letter === undefined) return reportResolved(out, 'edit', refused);
    const about = { headers: options.header, ...whoOf(options) };
    const revision = byHand
      ? await editByHand(pool, letter, (payloadText) => prepareEdit(pool, letter, { ...about, payloadText }))
      : await prepareEdit(pool, letter, { ...about, ...payload });
    const resolution = { action: 'edit', ...whoOf(options), revision } as const;
    const resolved = await operator.resolveDeadLetters([letter], resolution);
    return reportAndWait(out, 'edit', resolved, { ...options, pool });
  });
}

/** Its JSON as PostgreSQL lays it out, every digit as it is; what cannot be used is kept, and said where. */
async function editByHand(
  pool: Pool,
  letter: DeadLetter,
  use: (text: string) => Promise<number>,
): Promise<number> {
  const { payloadText = null } = (await readDeadLetterEvent(pool, letter.id)) ?? {};
  if (payloadText === null)
    refuseUsage(
      'its payload is bytes, or is no longer there: an editor cannot open it',
      'Give --payload-file or --payload-base64.',
    );
  const row = await firstOf<{ text: string }>(pool, 'select jsonb_pretty($1::jsonb) as text', [payloadText]);
  const before = row?.text ?? payloadText;
  const { editText } = await import('../editor.ts');
  const { text, path, discard } = await editText(`${before}\n`, `dead-letter-${letter.id}.json`);
  if (text.trim() === before.trim()) {
    await discard();
    refuseUsage('nothing was changed, so nothing was done');
  }
  try {
    const revision = await use(checkedJson(text, 'the edited payload'));
    await discard();
    return revision;
  } catch (error) {
    if (!isOutboxError(error)) throw error;
    throw new OutboxError(error.code, error.message, {
      hint: `What you wrote is in ${path}. Once it is right: temporal-outbox dlq edit ${letter.id} --file ${path}`,
      cause: error,
    });
  }
}
