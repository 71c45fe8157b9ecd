import type { Pool } from '../../storage/connect.ts';
import { readDeadLetterEvent, type DeadLetter } from '../../storage/deadLetters.ts';
import { prepareRevision } from '../../storage/resolutions.ts';
import { isOutboxError, OutboxError } from '../../errors.ts';
import { readPayloadGiven, type AnyPayloadSource, type PayloadGiven } from '../payloadGiven.ts';
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

/** `dlq edit`: the new text is stored first and the command names it by number, so no payload enters a workflow's history. */
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
    const revision = byHand
      ? await editByHand(pool, letter, (text) => prepare(pool, letter, { payloadText: text }, options))
      : await prepare(pool, letter, payload, options);
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

async function prepare(
  pool: Pool,
  letter: DeadLetter,
  payload: PayloadGiven | undefined,
  options: EditOptions,
): Promise<number> {
  const { actor, reason = null } = whoOf(options);
  const headers = await mergedHeaders(pool, letter, options.header);
  const { eventId, destination } = letter;
  const revision = await prepareRevision(pool, {
    eventId,
    destination,
    payload: payload !== undefined && 'payloadText' in payload ? payload.payloadText : null,
    payloadBytes: payload !== undefined && 'payloadBytes' in payload ? payload.payloadBytes : null,
    headers,
    actor,
    reason,
  }).catch((error: unknown) => {
    throw explain(error);
  });
  if (revision === undefined)
    throw new OutboxError('OUTBOX_COMMAND_REFUSED', `dead letter ${letter.id} is not parked any more`);
  return revision;
}

/** Null leaves them as they are. */
async function mergedHeaders(
  pool: Pool,
  letter: DeadLetter,
  given: EditOptions['header'],
): Promise<string | null> {
  if (given === undefined) return null;
  const event = await readDeadLetterEvent(pool, letter.id);
  return JSON.stringify({ ...event?.headers, ...given });
}

/** Check violations, text that jsonb does not take (NUL, half characters), and JSON for bytes or bytes for JSON. */
function explain(error: unknown): unknown {
  const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string };
  if (code === '23514') {
    return new OutboxError(
      'OUTBOX_COMMAND_REFUSED',
      'the edited event does not fit: payload at most 1 MiB, headers an object of strings of at most 16 KiB',
      { cause: error },
    );
  }
  if (code === 'P0001') return new OutboxError('OUTBOX_COMMAND_REFUSED', message, { cause: error });
  if (!code.startsWith('22')) return error;
  return new OutboxError('OUTBOX_COMMAND_REFUSED', `PostgreSQL does not take this payload: ${message}`, {
    cause: error,
  });
}
