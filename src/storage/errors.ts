/** What PostgreSQL's errors mean to us. Imports no driver: producers load this with any client. */
import { OutboxError } from '../errors.ts';
import { driverErrorOf, type DriverError } from './driverError.ts';

const unreachableCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
]);

/** Errors of connections that were never made: nothing was executed, whatever the code says. */
const failedConnects = new WeakSet<object>();
/** Errors of connections that broke with a statement under way: what became of it nobody knows. */
const brokenUnderWay = new WeakSet<object>();

export function noteFailedConnect(error: unknown): void {
  if (error instanceof Error) failedConnects.add(error);
}

export function noteBrokenUnderWay(error: unknown): void {
  if (error instanceof Error) brokenUnderWay.add(error);
}

export function didBreakUnderWay(error: unknown): boolean {
  return error instanceof Error && brokenUnderWay.has(error);
}

/** An answer of the server, after which the connection is still good. */
export function isSaidByServer(error: unknown): boolean {
  const { code, severity } = (error ?? {}) as DriverError & { severity?: string };
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined && severity !== 'FATAL';
}

/** A pooler that takes no startup options says so in as many ways as there are poolers; waiting mends none of it. */
export function refusesOptions(error: unknown): boolean {
  const { message = '', code = '' } = (error ?? {}) as DriverError;
  return (
    /startup (parameter|option)|command-line options|unrecognized configuration parameter/i.test(message) ||
    /^(08P01|0A000|42704)$/.test(code)
  );
}

/** The login itself is wrong: no user of that name, another password, no such database. */
export function isRefusedLogin(error: unknown): boolean {
  return /^(28...|3D000)$/.test(((error ?? {}) as DriverError).code ?? '');
}

/**
 * Keys that the database gives by itself (identity columns) and that are taken: its sequences stand behind their tables, as
 * a logical cut-over leaves them. Each try takes the next number, so trying again mends it.
 */
export function isSequenceBehind(error: unknown): boolean {
  const { code, constraint } = (error ?? {}) as DriverError;
  return (
    code === '23505' &&
    constraint !== undefined &&
    /^(audit|dead_letters|attempts|deliveries)_pkey$|_seq_key$/.test(constraint)
  );
}

/**
 * Whether an error may be about what one row holds: data that does not fit, a constraint, a trigger's refusal. Everything else
 * is about the server, its state or our rights in it, and may be over a moment later.
 */
export function mayBeAboutRow(error: unknown): boolean {
  const failed = (error ?? {}) as DriverError;
  return (
    /^(21|22|23|44|54|P0|OB)/.test(failed.code ?? '') && isSaidByServer(error) && !isSequenceBehind(failed)
  );
}

/**
 * Whether PostgreSQL, or the way to it, could not do it now: the server is away, out of room or read-only, ends statements, a right is
 * missing that somebody may grant. The same statement may succeed later, however much later; only what is about its own data may not.
 */
export function isOfServer(error: unknown): boolean {
  return (isTransient(error) || isSaidByServer(error) || didBreakUnderWay(error)) && !mayBeAboutRow(error);
}

/** In one line, with PostgreSQL's code: for logs and health. */
export function inShort(error: unknown): string {
  const { code, message = String(error) } = (error ?? {}) as DriverError;
  const said = message === '' ? '' : (message.split('\n')[0] ?? '');
  return code === undefined || said.includes(code) ? said : `${said} (${code})`.trim();
}

/** Whether the same statement may succeed a moment later: the server is away, restarting, or out of connections. */
export function isTransient(error: unknown): boolean {
  const { code, message } = driverErrorOf(error);
  if (error instanceof Error && failedConnects.has(error)) return true;
  if (isSequenceBehind(error)) return true;
  if (code !== undefined) {
    return unreachableCodes.has(code) || /^(08|53|57P0[1-5]|40001|40P01|55P03)/.test(code);
  }
  return /connection (terminated|timeout|ended)|timeout exceeded|Query read timeout|Client has encountered/i.test(
    message ?? '',
  );
}

/** Node's codes of a certificate that nobody known has signed, that is out of date, or that is another host's. */
function isUntrusted(code: string): boolean {
  return /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA)/.test(code);
}

/** What is wrong with TLS besides the certificate; null where it is something else. The codes and words are those of Node and `pg`. */
function tlsTrouble(error: unknown): string | null {
  const { code = '', message = '', syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  // `pg` reads the files that the URL names; it opens no other.
  if (syscall === 'open' && path !== undefined) return `${path} cannot be read (${code})`;
  if (/^ERR_(OSSL|SSL|TLS)_|^EPROTO$/.test(code)) return `no TLS connection could be made: ${message}`;
  return /server does not support SSL|error establishing an SSL/i.test(message)
    ? 'the server does not offer TLS, which the address asks for'
    : null;
}

/**
 * Turns what `pg` throws into an {@link OutboxError} where we know what it means; anything else stays as it is.
 * `where` names the server without its password.
 */
export function explainDatabaseError(error: unknown, where: string): unknown {
  if (error instanceof OutboxError) return error;
  const { code = '', message = '', hint } = driverErrorOf(error);
  const options = hint === undefined ? { cause: error } : { cause: error, hint };
  if (code === 'OB001') return new OutboxError('OUTBOX_EVENT_CONFLICT', message, options);
  if (code === 'OB002') return new OutboxError('OUTBOX_CONFIG_INVALID', message, options);
  if (code === 'OB003') return new OutboxError('OUTBOX_EVENT_INVALID', message, options);
  if (code === 'OB041') return new OutboxError('OUTBOX_MESSAGE_SETTLED', message, options);
  if (code === 'OB042') return new OutboxError('OUTBOX_PRODUCER_UNKNOWN', message, options);
  if (code === 'OB043') return new OutboxError('OUTBOX_NOT_FOUND', message, options);
  if (code === '25006') {
    return new OutboxError('OUTBOX_POSTGRES_READ_ONLY', `${where} is read-only`, {
      cause: error,
      hint: 'Point OUTBOX_DATABASE_URL at the primary, or end what made it read-only (a standby, a full disk, a transaction begun read only).',
    });
  }
  if (isUntrusted(code)) {
    return new OutboxError('OUTBOX_POSTGRES_TLS', `the certificate of ${where} is refused: ${message}`, {
      cause: error,
      hint: 'With a CA of your own: sslmode=verify-full&sslrootcert=FILE in the URL, or NODE_EXTRA_CA_CERTS=FILE; without any check: uselibpqcompat=true&sslmode=require, or sslmode=no-verify.',
    });
  }
  const tls = tlsTrouble(error);
  if (tls !== null) {
    return new OutboxError('OUTBOX_POSTGRES_TLS', `${where}: ${tls}`, {
      cause: error,
      hint: 'Look at sslmode and sslrootcert in OUTBOX_DATABASE_URL; where no encryption is wanted, sslmode=disable.',
    });
  }
  if (code === '3F000' || code === '42P01' || code === '42883') {
    return new OutboxError(
      'OUTBOX_SCHEMA_MISSING',
      `the outbox schema in ${where} is missing or too old: ${message}`,
      {
        cause: error,
        hint: 'Run: temporal-outbox migrate',
      },
    );
  }
  // Of the caller's own transaction, which is to be repeated: its code must stay what retry helpers look for.
  if (/^40|^55P03/.test(code)) return error;
  if (isRefusedLogin(error)) {
    return new OutboxError(
      'OUTBOX_POSTGRES_UNREACHABLE',
      `PostgreSQL at ${where} refuses the login: ${message || code}`,
      { cause: error, hint: 'Check user, password and database in OUTBOX_DATABASE_URL.' },
    );
  }
  if (isTransient(error)) {
    return new OutboxError(
      'OUTBOX_POSTGRES_UNREACHABLE',
      `cannot use PostgreSQL at ${where}: ${message || code}`,
      {
        cause: error,
        hint: 'Check OUTBOX_DATABASE_URL, and that the server is up.',
      },
    );
  }
  return error;
}

/** As {@link explainDatabaseError}, for who can wait: whatever the server says that is not about data may be over later. */
export function explainUnusable(error: unknown, where: string): unknown {
  const explained = explainDatabaseError(error, where);
  if (explained instanceof OutboxError || !isOfServer(error)) return explained;
  return new OutboxError(
    'OUTBOX_POSTGRES_UNREACHABLE',
    `cannot use PostgreSQL at ${where}: ${inShort(error)}`,
    {
      cause: error,
      hint: "The message is PostgreSQL's own. A missing right is granted with: grant outbox_relay to the user in OUTBOX_DATABASE_URL.",
    },
  );
}
