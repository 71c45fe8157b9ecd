import { printable } from '../core/printable.ts';
import { isOutboxError, OutboxError } from '../errors.ts';

/** OUTBOX_SERVER_START with what the server printed last. */
export function startError(message: string, lastLines: readonly string[], hint?: string): OutboxError {
  const output =
    lastLines.length === 0
      ? ''
      : `\n${lastLines
          .slice(-12)
          .map((line) => printable(line))
          .join('\n')}`;
  return new OutboxError('OUTBOX_SERVER_START', `${message}.${output}`, hint === undefined ? {} : { hint });
}

/** Makes what the file system or the process table refused (full disk, no permission, …) one of our errors. */
export function asStartError(server: string, error: unknown): OutboxError {
  if (isOutboxError(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new OutboxError('OUTBOX_SERVER_START', `${server} did not start: ${reason}.`, {
    hint: 'Check that the data directory can be written to and that its disk has room, or choose another one.',
    cause: error,
  });
}
