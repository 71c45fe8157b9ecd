/** What answers of Kafka mean. */
import { refused, SendFailure, unreachable } from '../shared/failures.ts';
import { errorText, networkErrorClass } from '../shared/networkErrors.ts';

interface About {
  /** `kafka:9092 topic orders`. */
  readonly said: string;
  /** Whether all events of the destination go to this topic. */
  readonly isConstant: boolean;
}

type Meaning = (text: string, about: About) => SendFailure;

const destinationsFault = { permanent: false };
const tooLarge: Meaning = (text) => refused('too-large', `${text} (max.message.bytes of the topic)`);
const rejected: Meaning = (text) => refused('rejected', text);
const noAccess: Meaning = (text) => refused('access-refused', text, destinationsFault);
const noTopic: Meaning = (text, { isConstant }) =>
  isConstant ? refused('unknown-target', text, destinationsFault) : refused('unroutable', text);

/** By the name that Kafka's protocol gives; all others say that the cluster is not ready. */
const meanings: Readonly<Record<string, Meaning>> = {
  MESSAGE_TOO_LARGE: tooLarge,
  RECORD_LIST_TOO_LARGE: tooLarge,
  INVALID_RECORD: rejected,
  // What a broker says of records that it cannot store, and of itself: another attempt may tell.
  UNKNOWN_SERVER_ERROR: (text) => refused('rejected', text, { permanent: false }),
  CORRUPT_MESSAGE: rejected,
  INVALID_TIMESTAMP: rejected,
  UNSUPPORTED_FOR_MESSAGE_FORMAT: rejected,
  POLICY_VIOLATION: rejected,
  TOPIC_AUTHORIZATION_FAILED: noAccess,
  CLUSTER_AUTHORIZATION_FAILED: noAccess,
  SASL_AUTHENTICATION_FAILED: noAccess,
  UNSUPPORTED_SASL_MECHANISM: noAccess,
  ILLEGAL_SASL_STATE: noAccess,
  UNKNOWN_TOPIC_OR_PARTITION: noTopic,
  INVALID_TOPIC_EXCEPTION: noTopic,
  THROTTLING_QUOTA_EXCEEDED: (text) => unreachable('throttled', text),
};

export function kafkaFailure(error: unknown, about: About): SendFailure {
  if (error instanceof SendFailure) return error;
  const { said } = about;
  const all = inside(error);
  const named = all.find(({ apiId }) => typeof apiId === 'string');
  if (named !== undefined) {
    const text = `${said}: ${String(named.apiId)}, ${withoutDot(named.serverErrorMessage ?? named.message)}`;
    return (meanings[String(named.apiId)] ?? notReady)(text, about);
  }
  if (all.some(({ message }) => /^Unknown topic /.test(message)))
    return noTopic(`${said}: there is no such topic; make it, or correct the name`, about);
  if (all.some(({ code }) => code === 'PLT_KFK_AUTHENTICATION'))
    return refused('access-refused', `${said}: the login is refused`, destinationsFault);
  const network = networkErrorClass(error);
  const deepest = all.at(-1) ?? error;
  return unreachable(
    network === 'network-error' ? 'connection-reset' : network,
    `${said}: ${withoutDot(errorText(deepest))}`,
  );
}

const notReady: Meaning = (text) => unreachable('not-ready', text);

/** Whether the cluster's leaders are to be asked for again. */
export function isStale(error: unknown): boolean {
  return inside(error).some(({ hasStaleMetadata }) => hasStaleMetadata === true);
}

interface KafkaError extends Error {
  readonly apiId?: unknown;
  readonly code?: unknown;
  readonly serverErrorMessage?: string | null;
  readonly hasStaleMetadata?: unknown;
}

/** The error and all it was made of, the innermost last. */
export function inside(error: unknown, depth = 0): KafkaError[] {
  if (!(error instanceof Error) || depth > 6) return [];
  const members = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  return [error, ...[...members, error.cause].flatMap((each) => inside(each, depth + 1))];
}

function withoutDot(text: string): string {
  return text.replace(/\.$/, '');
}
