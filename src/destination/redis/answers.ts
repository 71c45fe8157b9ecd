/** What errors of Redis and of its client mean. */
import { refused, SendFailure, unreachable } from '../shared/failures.ts';
import { errorText, networkErrorClass } from '../shared/networkErrors.ts';

const destinationsFault = { permanent: false };

/** `said`: where, `redis://host stream audit`. */
export function redisFailure(error: unknown, said: string): SendFailure {
  if (error instanceof SendFailure) return error;
  const text = errorText(error);
  const whole = `${said}: ${text}`;
  const [code = ''] = /^[A-Z]+(?= )/.exec(text) ?? [];
  switch (code) {
    case 'WRONGTYPE':
      return refused(
        'wrong-target',
        `${said}: a key of that name is there and is no stream`,
        destinationsFault,
      );
    case 'NOAUTH':
    case 'WRONGPASS':
    case 'NOPERM':
      return refused('access-refused', whole, destinationsFault);
    case 'MOVED':
    case 'ASK':
    case 'CROSSSLOT':
      return refused(
        'wrong-target',
        `${said}: a Redis Cluster, which this type does not speak to`,
        destinationsFault,
      );
    // Memory, or the disk: it takes nothing from anybody at the moment.
    case 'OOM':
    case 'MISCONF':
      return unreachable('blocked', whole);
    case 'ERR':
      return errFailure(text, whole);
    case '':
      return connectionFailure(error, whole);
    default:
      // LOADING, READONLY, BUSY, NOREPLICAS, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, UNBLOCKED …
      return unreachable('not-ready', whole);
  }
}

function errFailure(text: string, whole: string): SendFailure {
  if (/invalid password|AUTH/i.test(text)) return refused('access-refused', whole, destinationsFault);
  if (/too (big|large)|maximum allowed size|bulk length/i.test(text)) return refused('too-large', whole);
  if (/max number of clients/i.test(text)) return unreachable('throttled', whole);
  return refused('rejected', whole, destinationsFault);
}

function connectionFailure(error: unknown, whole: string): SendFailure {
  const network = networkErrorClass(error);
  return unreachable(network === 'network-error' ? 'connection-reset' : network, whole);
}
