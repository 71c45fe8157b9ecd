import type { Pool } from '../../storage/connect.ts';
import { readDeadLetterEvent, type DeadLetter } from '../../storage/deadLetters.ts';
import { prepareRevision } from '../../storage/resolutions.ts';
import { OutboxError } from '../../errors.ts';
import { readPayloadGiven, type AnyPayloadSource, type PayloadGiven } from '../payloadGiven.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { whoOf, type WhoOptions } from './who.ts';

export interface EditOptions extends WhoOptions, AnyPayloadSource {
  readonly header?: Readonly<Record<string, string>>;
}

/** `dlq edit`: the new text is stored first and the command names it by number, so no payload enters a workflow's history. */
export async function edit(out: Output, id: number, options: EditOptions): Promise<0 | 1 | 3> {
  const payload = await readPayloadGiven(options, 'ignore');
  if (payload === undefined && options.header === undefined)
    refuseUsage('nothing to change', 'Give --payload, --file, --payload-file, --payload-base64 or --header.');
  // After the mistakes: it loads Temporal, which takes its time.
  const { openOnes, reportResolved, withOperator } = await import('./operate.ts');
  return withOperator(out, options.timeout, async (operator, pool) => {
    const { open, refused } = await openOnes(pool, [id]);
    const [letter] = open;
    if (letter === undefined) return reportResolved(out, 'edit', refused);
    const revision = await prepare(pool, letter, payload, options);
    const resolution = { action: 'edit', ...whoOf(options), revision } as const;
    return reportResolved(out, 'edit', await operator.resolveDeadLetters([letter], resolution));
  });
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
