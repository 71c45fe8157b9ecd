/**
 * Every error this package raises on purpose is an {@link OutboxError} with a lasting code.
 * The codes, their meaning and what to do about each are listed in docs/errors.md; a test keeps both in step.
 */
export class OutboxError extends Error {
  /** Lasting identifier, `OUTBOX_…`; safe to match on. */
  readonly code: ErrorCode;
  /** What the reader can do about it, one sentence. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'OutboxError';
    this.code = code;
    this.hint = options.hint;
  }
}

/**
 * The catalogue. The text says when the code is used; docs/errors.md adds how to solve it.
 * `exitCode` is what the CLI ends with: 2 wrong use, 3 a server cannot be reached, 1 anything else.
 */
export const errorCatalogue = {
  OUTBOX_CONFIG_INVALID: { when: 'outbox.yaml does not validate', exitCode: 2 },
  OUTBOX_CONFIG_NOT_FOUND: { when: 'the configuration file does not exist or cannot be read', exitCode: 2 },
  OUTBOX_USAGE: { when: 'a command, flag or argument is wrong', exitCode: 2 },
  OUTBOX_EVENT_INVALID: { when: 'an event handed to enqueue cannot be stored as it is', exitCode: 2 },
  OUTBOX_EVENT_CONFLICT: { when: 'the same event id or dedup key was used with other content', exitCode: 1 },
  OUTBOX_POSTGRES_UNREACHABLE: { when: 'PostgreSQL cannot be reached or refuses the login', exitCode: 3 },
  OUTBOX_POSTGRES_READ_ONLY: {
    when: 'PostgreSQL takes no changes: the server is a standby or was made read-only, or the transaction reads only',
    exitCode: 3,
  },
  OUTBOX_OUTCOME_UNKNOWN: {
    when: 'the connection to PostgreSQL broke while changes were committed: they are done, or none of them',
    exitCode: 3,
  },
  OUTBOX_INTERRUPTED: { when: 'a command was interrupted before it was done', exitCode: 1 },
  OUTBOX_POSTGRES_TLS: {
    when: 'PostgreSQL is not to be had over TLS as its address asks: the certificate is not trusted or of another host, a file cannot be read, or it offers no TLS',
    exitCode: 3,
  },
  OUTBOX_DATABASE_URL_INVALID: { when: 'the address of PostgreSQL cannot be read', exitCode: 3 },
  OUTBOX_PARTITION_MISSING: { when: 'outbox.events has no partition for the day of an event', exitCode: 1 },
  OUTBOX_POSTGRES_DENIED: { when: 'the role of the connection may not do what is asked', exitCode: 1 },
  OUTBOX_CLIENT_INVALID: {
    when: 'the client given to enqueue is in no transaction, or does not answer as one should',
    exitCode: 2,
  },
  OUTBOX_SCHEMA_MISSING: {
    when: 'the database has no outbox schema, or an older one than this version needs',
    exitCode: 1,
  },
  OUTBOX_ROW_SECURITY: {
    when: 'row-level security is on for tables of ours, and no policy lets this role see a row of them',
    exitCode: 1,
  },
  OUTBOX_SCHEMA_NEWER: { when: 'the database was migrated by a newer version of this package', exitCode: 1 },
  OUTBOX_TEMPORAL_UNREACHABLE: {
    when: 'the Temporal server cannot be reached or refuses the credentials',
    exitCode: 3,
  },
  OUTBOX_TEMPORAL_MISMATCH: {
    when: 'the database belongs to another Temporal namespace, or the namespace to another database',
    exitCode: 1,
  },
  OUTBOX_DATABASE_RESTORED: {
    when: 'the database was restored from a copy, or is a copy beside the first, and nobody has confirmed it',
    exitCode: 1,
  },
  OUTBOX_SERVER_DOWNLOAD: { when: 'a server binary for dev or demo cannot be found or fetched', exitCode: 3 },
  OUTBOX_SERVER_START: { when: 'an embedded server does not start', exitCode: 3 },
  OUTBOX_SECRET_MISSING: {
    when: 'a secret that a destination or receiver needs is not in the environment, or unusable',
    exitCode: 2,
  },
  OUTBOX_KEY_MISSING: {
    when: 'a payload is encrypted, or to be encrypted, with a key that this process does not have',
    exitCode: 2,
  },
  OUTBOX_KEY_INVALID: { when: 'a key of encryption, or its id, is not what one has to be', exitCode: 2 },
  OUTBOX_PAYLOAD_UNREADABLE: {
    when: 'an encrypted payload was changed, or its key is another one of that name',
    exitCode: 1,
  },
  OUTBOX_VARIABLE_CLOSED: {
    when: 'a configuration names an environment variable that is not meant for it',
    exitCode: 2,
  },
  OUTBOX_DESTINATION_TYPE: {
    when: 'a destination type is not known to a process, or not what a type has to be',
    exitCode: 2,
  },
  OUTBOX_CLIENT_MISSING: {
    when: 'the package that a destination type sends by is not installed, or in a version that does not serve',
    exitCode: 2,
  },
  OUTBOX_ADDRESS_BLOCKED: {
    when: 'a destination resolves to an address the network policy refuses',
    exitCode: 1,
  },
  OUTBOX_LISTEN_FAILED: { when: 'an address to serve HTTP at cannot be listened at', exitCode: 1 },
  OUTBOX_NOT_FOUND: { when: 'no dead letter, event, half message or destination has that id', exitCode: 1 },
  OUTBOX_NO_ANSWER: { when: 'no worker answered a command in time', exitCode: 3 },
  OUTBOX_INBOX_NO_TRANSACTION: {
    when: 'a message is to be processed once, and its client is in no open transaction',
    exitCode: 1,
  },
  OUTBOX_INBOX_IN_PROGRESS: { when: 'another transaction is at work on the same message', exitCode: 1 },
  OUTBOX_INBOX_CONFLICT: {
    when: 'a message came with the id and revision of one that was applied, and another payload',
    exitCode: 1,
  },
  OUTBOX_INBOX_REVISION: {
    when: 'an edited message came after the one it replaces was applied, and the consumer refuses such',
    exitCode: 1,
  },
  OUTBOX_INBOX_EXPIRED: { when: 'a message is older than what the inbox remembers', exitCode: 1 },
  OUTBOX_INBOX_INVALID: { when: 'what the inbox or a receiver was given cannot be right', exitCode: 2 },
  OUTBOX_INBOX_RETENTION: {
    when: 'the inbox forgets messages sooner than their sender may send them again',
    exitCode: 1,
  },
  OUTBOX_SIGNATURE_INVALID: { when: 'a request is not signed as it has to be', exitCode: 1 },
  OUTBOX_RECEIVER_BODY: {
    when: 'another middleware read the body of a request before the receiver could verify it',
    exitCode: 1,
  },
  OUTBOX_PRODUCER_UNKNOWN: {
    when: 'a half message names a producer that the configuration does not have',
    exitCode: 2,
  },
  OUTBOX_MESSAGE_SETTLED: {
    when: 'a half message is to be committed that was rolled back, or the other way round',
    exitCode: 1,
  },
  OUTBOX_API_UNPROTECTED: {
    when: 'the HTTP API would listen beyond this machine without a token',
    exitCode: 2,
  },
  OUTBOX_API_UNREACHABLE: {
    when: 'the HTTP API cannot be reached or does not answer as it should',
    exitCode: 3,
  },
  OUTBOX_API_REQUEST: {
    when: 'the HTTP API does not take a request: its token, form, size or path',
    exitCode: 2,
  },
  OUTBOX_DASHBOARD_UNPROTECTED: {
    when: 'the dashboard would listen beyond this machine without sign-in',
    exitCode: 2,
  },
  OUTBOX_REDRIVE_INVALID: {
    when: 'a redrive is asked for in a way that cannot be: no filter, an unknown field, a patch that is none',
    exitCode: 2,
  },
  OUTBOX_RESOLUTION_DENIED: {
    when: '`resolutions` of outbox.yaml does not let whoever asks resolve what is parked there in this way',
    exitCode: 1,
  },
  OUTBOX_SECOND_PERSON_NEEDED: {
    when: '`resolutions.twoPersons` of outbox.yaml asks for two persons who are proved, and fewer have said so',
    exitCode: 1,
  },
  OUTBOX_COMMAND_REFUSED: { when: 'a resolution was refused; the message says why', exitCode: 1 },
} as const satisfies Record<string, { when: string; exitCode: 1 | 2 | 3 }>;

export type ErrorCode = keyof typeof errorCatalogue;

export function isOutboxError(error: unknown): error is OutboxError {
  if (error instanceof OutboxError) return true;
  // Of another copy of this package: one program may have it as ESM and as CommonJS, or in two versions.
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return (
    error instanceof Error && name === 'OutboxError' && typeof code === 'string' && code in errorCatalogue
  );
}
