/** What SQS, or the SDK before it, answers when it does not take messages. */
import { refused, unreachable, type SendFailure } from '../shared/failures.ts';
import { errorText, networkErrorClass } from '../shared/networkErrors.ts';

const logins =
  /^(AccessDenied|InvalidClientTokenId|InvalidAccessKeyId|SignatureDoesNotMatch|UnrecognizedClient|ExpiredToken|MissingAuthenticationToken|IncompleteSignature|AuthFailure|InvalidSecurity|KmsAccessDenied|KmsOptInRequired|CredentialsProviderError|TokenProviderError)/;
const missing =
  /^(QueueDoesNotExist|InvalidAddress|QueueDeletedRecently|KmsNotFound|AWS\.SimpleQueueService\.NonExistentQueue)/;
const wrong = /^(UnsupportedOperation|KmsDisabled|KmsInvalidKeyUsage|KmsInvalidState)/;
const throttled = /Throttl|TooManyRequests|OverLimit|RequestLimit|SlowDown/i;

/** Of a whole request; null where it may be one of its messages that SQS does not take. */
export function requestFailure(error: unknown, label: string): SendFailure | null {
  const {
    name = '',
    $metadata,
    $response,
  } = error as {
    readonly name?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly statusCode?: number };
  };
  const status = $metadata?.httpStatusCode ?? $response?.statusCode ?? 0;
  const said = `${label}: ${name}: ${errorText(error)}`;
  if (throttled.test(name) || status === 429) return unreachable('throttled', said);
  if (logins.test(name)) return refused('access-refused', said, { permanent: false });
  if (missing.test(name)) return refused('unknown-target', said, { permanent: false });
  if (wrong.test(name)) return refused('wrong-target', said, { permanent: false });
  if (status >= 500) return unreachable('not-ready', said);
  if (status === 0) {
    // The SDK calls a connection that was reset a TimeoutError too.
    const network = networkErrorClass(error);
    const late = network === 'network-error' && /^(TimeoutError|AbortError)$/.test(name);
    return unreachable(late ? 'timeout' : network, `${label}: ${errorText(error)}`);
  }
  return isFromSqs(error) ? null : unreadable(status, label);
}

/** Not a page of whatever stands before it. */
function isFromSqs(error: unknown): boolean {
  return (error as { readonly $fault?: unknown }).$fault !== undefined;
}

function unreadable(status: number, label: string): SendFailure {
  const said = `${label}: answered ${status}, not as SQS does`;
  if (status === 401 || status === 403) return refused('access-refused', said, { permanent: false });
  return refused('rejected', said, { permanent: false });
}

/** Of a request of one message. */
export function messageFailure(error: unknown, label: string): SendFailure {
  const known = requestFailure(error, label);
  if (known !== null) return known;
  const { name = '' } = error as { readonly name?: string };
  return senderFault(name, `${label}: ${name}: ${errorText(error)}`);
}

/** Of one entry. */
export function entryFailure(
  entry: {
    readonly Code?: string | undefined;
    readonly Message?: string | undefined;
    readonly SenderFault?: boolean | undefined;
  },
  label: string,
): SendFailure {
  const { Code = '', Message = '', SenderFault = false } = entry;
  const said = `${label}: ${Code}: ${Message}`;
  if (throttled.test(Code)) return unreachable('throttled', said);
  return SenderFault ? senderFault(Code, said) : unreachable('not-ready', said);
}

function senderFault(code: string, said: string): SendFailure {
  if (/TooLong|TooLarge/i.test(code) || /longer than|must be shorter/i.test(said))
    return refused('too-large', said);
  if (/InvalidMessageContents/.test(code)) return refused('invalid-message', said);
  return refused('rejected', said);
}
