import { prepareEdit } from '../../deadletter/edit.ts';
import { ConfiguredKeys } from '../../encryption/configured.ts';
import type { KeyProvider } from '../../encryption/keys.ts';
import { readPayload } from '../../encryption/stored.ts';
import type { Pool } from '../../storage/connect.ts';
import { readDeadLetterEvent, type DeadLetter } from '../../storage/deadLetters.ts';
import { isOutboxError, OutboxError } from '../../errors.ts';
import { readPayloadGiven, type AnyPayloadSource } from '../payloadGiven.ts';
import { checkedJson } from '../arguments.ts';
import { refuseUsage } from '../failure.ts';
import { firstOf } from '../../storage/connect.ts';
import type { Output } from '../output.ts';
import { whoOf } from '../who.ts';
import { bulk, isBulk, type BulkOptions } from './bulk.ts';

/** `payload` is the new one here, not a filter. */
export interface EditOptions extends Omit<BulkOptions, 'payload'>, AnyPayloadSource {
  readonly header?: Readonly<Record<string, string>>;
  readonly editor?: boolean;
}

/** `dlq edit`: one by its number, or with `--patch` what a filter matches. Answers the exit code. */
export async function edit(out: Output, id: number | undefined, options: EditOptions): Promise<0 | 1 | 3> {
  const { payload: newPayload, file, payloadFile, payloadBase64, header, editor, ...request } = options;
  const isForOne = [newPayload, file, payloadFile, payloadBase64, header, editor].some(
    (given) => given !== undefined,
  );
  if (isBulk('edit', id === undefined ? [] : [id], request) || id === undefined) {
    if (isForOne) refuseUsage('a payload or a header is for one letter', 'Give --patch with a filter.');
    if (request.patch === undefined)
      refuseUsage(
        'edit how?',
        `--patch '[{"op": "replace", "path": "/currency", "value": "EUR"}]', one JSON Patch for all.`,
      );
    return bulk(out, 'edit', request);
  }
  if (request.patch !== undefined)
    refuseUsage('--patch belongs to a filter', `dlq edit --letter ${id} --patch '…' edits one by a patch.`);
  return editOne(out, id, options);
}

async function editOne(out: Output, id: number, options: EditOptions): Promise<0 | 1 | 3> {
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
    const keys = await new ConfiguredKeys(pool, process.env).load();
    const revision = byHand
      ? await editByHand(pool, letter, keys, (payloadText) =>
          prepareEdit(pool, letter, { ...about, payloadText }, keys),
        )
      : await prepareEdit(pool, letter, { ...about, ...payload }, keys);
    const resolution = { action: 'edit', ...whoOf(options), revision } as const;
    const resolved = await operator.resolveDeadLetters([letter], resolution);
    return reportAndWait(out, 'edit', resolved, { ...options, pool });
  });
}

/** Its JSON as PostgreSQL lays it out, every digit as it is; what cannot be used is kept, and said where. */
async function editByHand(
  pool: Pool,
  letter: DeadLetter,
  keys: KeyProvider,
  use: (text: string) => Promise<number>,
): Promise<number> {
  const event = await readDeadLetterEvent(pool, letter.id);
  const read = event === undefined ? undefined : await readPayload(letter.eventType, event, keys);
  const { payloadText = null } = read ?? {};
  const problem = read?.encrypted?.problem ?? null;
  if (problem !== null)
    throw new OutboxError('OUTBOX_COMMAND_REFUSED', `dead letter ${letter.id}: ${problem}`);
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
