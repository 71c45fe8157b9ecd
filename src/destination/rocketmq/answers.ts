/** What answers of RocketMQ and of its proxy mean. */
import { refused, SendFailure, unreachable } from '../shared/failures.ts';
import { errorText, networkErrorClass } from '../shared/networkErrors.ts';

interface About {
  /** `proxy:8081 topic orders`. */
  readonly said: string;
  /** Whether all events of the destination go to this topic. */
  readonly isConstant: boolean;
}

const destinationsFault = { permanent: false };

export function rocketmqFailure(error: unknown, about: About): SendFailure {
  if (error instanceof SendFailure) return error;
  const { said } = about;
  const text = `${said}: ${plain(errorText(error))}`;
  const { code } = error as { readonly code?: unknown };
  // The client's own checks, before anything is sent.
  if (error instanceof TypeError && /message type not match/.test(text)) return wrongType(error, said);
  if (error instanceof TypeError && /size exceeds/.test(text)) return refused('too-large', text);
  if (typeof code !== 'number') return unreachable(networkErrorClass(error), text);
  return code < 1000 ? transportFailure(code, text) : answerFailure(code, text, about);
}

/** Codes of gRPC. */
function transportFailure(code: number, text: string): SendFailure {
  if (code === 7 || code === 16) return refused('access-refused', text, destinationsFault);
  if (code === 4) return unreachable('timeout', text);
  if (code === 8) return unreachable('throttled', text);
  if (/ECONNREFUSED/.test(text)) return unreachable('connection-refused', text);
  if (/certificate|CERT_|SSL|TLS/i.test(text)) return unreachable('tls-certificate', text);
  return unreachable('connection-reset', text);
}

/** Codes of RocketMQ 5 (`apache.rocketmq.v2.Code`). */
const tooLarge = [41300, 41301, 43100, 43101];
const notOurs = [40100, 40200, 40300];
const illegalTopic = 40002;
const notFound = [40400, 40402];
const ofAnotherType = 40014;
const emptyBody = 41302;

function answerFailure(code: number, text: string, { isConstant }: About): SendFailure {
  if (tooLarge.includes(code)) return refused('too-large', text);
  if (notOurs.includes(code)) return refused('access-refused', text, destinationsFault);
  if (notFound.includes(code))
    return isConstant ? refused('unknown-target', text, destinationsFault) : refused('unroutable', text);
  if (code === ofAnotherType) return refused('wrong-target', text, destinationsFault);
  if (code === illegalTopic || code === emptyBody || (code >= 40000 && code < 40100))
    return refused('invalid-message', text);
  if (Math.floor(code / 100) === 429) return unreachable('throttled', text);
  // Among them: not flushed in time, no replica in time. It may be stored all the same.
  return unreachable('not-ready', text);
}

const types = ['', 'normal', 'FIFO', 'delay', 'transaction'];

function wrongType(error: Error, said: string): SendFailure {
  const actual = Number(/actualMessageType=(\d+)/.exec(error.message)?.[1]);
  const accepted = (/acceptMessageTypes=\[([\d,]*)\]/.exec(error.message)?.[1] ?? '').split(',').map(Number);
  const hint =
    actual === 2
      ? 'take group out'
      : accepted.includes(2)
        ? "give it group: '{key}'"
        : 'use a normal or FIFO topic';
  return refused(
    'wrong-target',
    `${said} takes ${accepted.map((type) => types[type] ?? type).join(' and ')} messages, and these are ${types[actual] ?? actual}; ${hint}`,
    destinationsFault,
  );
}

/** Without the client's brackets and the broker's link to its website. */
function plain(text: string): string {
  return (text.split('\n')[0] ?? '')
    .replace(/^\[request-id=[^\]]*\] /, '')
    .replace(/^CODE: \d+\s+DESC: /, '');
}
