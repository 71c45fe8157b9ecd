/** Temporal that cannot be used, in our own error. Imports nothing of Temporal's. */
import { OutboxError } from '../errors.ts';
import { innermostWords, isAway } from './grpc.ts';

export function unreachable(address: string, cause: unknown): OutboxError {
  const why = withoutRust(innermostWords(cause));
  return new OutboxError('OUTBOX_TEMPORAL_UNREACHABLE', `cannot use Temporal at ${address}: ${why}`, {
    cause,
    hint: 'Check TEMPORAL_ADDRESS and the other TEMPORAL_* settings, and that the server is up.',
  });
}

/** As {@link unreachable} what a call threw because Temporal went away meanwhile; anything else as it is. */
export function explainAway(error: unknown, address: string): unknown {
  return !(error instanceof OutboxError) && isAway(error) ? unreachable(address, error) : error;
}

/** The native client prints its errors as Rust structures; what a person wants of them is the innermost message. */
function withoutRust(message: string): string {
  if (!message.includes('tonic::') && !message.includes('code: ')) return message;
  if (message.includes('InvalidContentType')) return 'it does not speak TLS, which the settings ask for';
  return /.*message: "([^"]+)"/.exec(message)?.[1] ?? message;
}
