/** What Temporal, or the way to it, answers when it does not take an event. */
import { grpcCodeOf, innermostWords } from '../../temporal/grpc.ts';
import { refused, SendFailure, unreachable } from '../shared/failures.ts';

const code = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  unauthenticated: 16,
};

export function failureOf(error: unknown, label: string): SendFailure {
  if (error instanceof SendFailure) return error;
  const words = innermostWords(error);
  const said = `${label}: ${words}`;
  const status = grpcCodeOf(error);
  const tooLarge = /larger than max|exceeds (size )?limit|BlobSize|message too large/i.test(words);
  if (tooLarge) return refused('too-large', said);
  // The client makes an error without a status of it.
  if (/namespace .*not found|Namespace not found/i.test(words))
    return refused('unknown-target', said, { permanent: false });
  switch (status) {
    case code.invalidArgument:
      return refused('rejected', said);
    case code.notFound:
      return refused('unknown-target', said, { permanent: false });
    case code.permissionDenied:
    case code.unauthenticated:
      return refused('access-refused', said, { permanent: false });
    case code.failedPrecondition:
      return refused('rejected', said, { permanent: false });
    case code.unimplemented:
      return refused('wrong-target', `${said} (does the server have it, and is it Temporal?)`, {
        permanent: false,
      });
    case code.resourceExhausted:
      return unreachable('throttled', said);
    case code.deadlineExceeded:
      return unreachable('timeout', said);
    default:
      return unreachable(networkClass(words), said);
  }
}

/** The client tells why it is not connected in words only. */
function networkClass(words: string): string {
  if (/ECONNREFUSED/.test(words)) return 'connection-refused';
  if (/ECONNRESET|EPIPE|Connection dropped|GOAWAY|socket hang up/i.test(words)) return 'connection-reset';
  if (/ENOTFOUND|Name resolution/i.test(words)) return 'dns-not-found';
  if (/certificate|self.signed|altname/i.test(words)) return 'tls-certificate';
  if (/SSL|TLS|wrong version number/i.test(words)) return 'tls-failure';
  return 'not-ready';
}
