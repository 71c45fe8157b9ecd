/** What answers of NATS and JetStream mean. */
import { refused, SendFailure, unreachable } from '../shared/failures.ts';
import { errorText } from '../shared/networkErrors.ts';
import type { OpenConnection } from './connection.ts';

interface About {
  readonly label: string;
  readonly subject: string;
  /** Whether all events of the destination go to this subject. */
  readonly isConstant: boolean;
}

/** Codes of JetStream (`err_code`). */
const codes = {
  tooLarge: [10054],
  wrongStream: [10060],
  sealed: [10109],
  /** Limits of a stream that keeps old messages rather than take new ones, and of the account. */
  full: [10077, 10122, 10002, 10023, 10028, 10047, 10076],
  notEnabled: [10039, 10035],
};

export async function publishFailure(
  error: unknown,
  connection: OpenConnection,
  { label, subject, isConstant }: About,
): Promise<SendFailure> {
  if (error instanceof SendFailure) return error;
  const said = `${label} subject ${subject}`;
  const { name, code } = error as { readonly name?: unknown; readonly code?: unknown };
  const text = errorText(error);
  if (name === 'JetStreamApiError' && typeof code === 'number') return apiFailure(code, `${said}: ${text}`);
  if (error instanceof SyntaxError)
    return refused(
      'wrong-target',
      `${said}: somebody who listens there answers in place of a stream; make a stream that takes the subject`,
      { permanent: false },
    );
  if (chain(error).some((each) => each === 'PermissionViolationError'))
    return refused('access-refused', `${said}: the login may not publish there`, { permanent: false });
  if (name === 'JetStreamNotEnabled' || chain(error).includes('NoRespondersError'))
    return nobodyTookIt(connection, said, { subject, isConstant });
  if (name === 'TimeoutError') return unreachable('timeout', `${said}: no stream acknowledged it in time`);
  return unreachable(
    'connection-reset',
    `${said}: ${text}; the connection closed before the acknowledgement`,
  );
}

function apiFailure(code: number, text: string): SendFailure {
  if (codes.tooLarge.includes(code)) return refused('too-large', `${text} (max_msg_size of the stream)`);
  if (codes.wrongStream.includes(code))
    return refused('wrong-target', `${text}: another stream takes the subject`, { permanent: false });
  if (codes.sealed.includes(code)) return refused('wrong-target', text, { permanent: false });
  if (codes.full.includes(code)) return unreachable('blocked', text);
  if (codes.notEnabled.includes(code)) return refused('unknown-target', text, { permanent: false });
  return unreachable('not-ready', text);
}

/** No stream for the subject, or one without a leader, or no JetStream at this moment. */
async function nobodyTookIt(
  { manager }: OpenConnection,
  said: string,
  { subject, isConstant }: Pick<About, 'subject' | 'isConstant'>,
): Promise<SendFailure> {
  try {
    const stream = await (await manager()).streams.find(subject);
    return unreachable('not-ready', `${said}: stream ${stream} does not answer`);
  } catch (error) {
    const { name } = error as { readonly name?: unknown };
    if (!/no stream/i.test(errorText(error)) && name !== 'StreamNotFoundError')
      return unreachable(
        'not-ready',
        `${said}: nobody answers, and JetStream cannot be asked for its streams`,
      );
  }
  const text = `${said}: no stream takes the subject; add it to the subjects of a stream`;
  return isConstant ? refused('unknown-target', text, { permanent: false }) : refused('unroutable', text);
}

function chain(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 4) return [];
  return [error.name, error.constructor.name, ...chain(error.cause, depth + 1)];
}
