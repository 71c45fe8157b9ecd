/** What PostgreSQL's errors mean to us. Imports no driver: producers load this with any client. */
import { OutboxError } from '../errors.ts';

interface DriverError extends Error {
  code?: string;
  hint?: string;
  detail?: string;
}

const unreachableCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
]);

/** Whether the same statement may succeed a moment later: the server is away, restarting, or out of connections. */
export function isTransient(error: unknown): boolean {
  const { code, message } = (error ?? {}) as DriverError;
  if (code !== undefined) {
    return unreachableCodes.has(code) || /^(08|53|57P0[1-5]|40001|40P01|55P03)/.test(code);
  }
  return /connection (terminated|timeout|ended)|timeout exceeded|Query read timeout|Client has encountered/i.test(
    message ?? '',
  );
}

/**
 * Turns what `pg` throws into an {@link OutboxError} where we know what it means; anything else stays as it is.
 * `where` names the server without its password.
 */
export function explainDatabaseError(error: unknown, where: string): unknown {
  if (error instanceof OutboxError) return error;
  const { code = '', message = '', hint } = (error ?? {}) as DriverError;
  const options = hint === undefined ? { cause: error } : { cause: error, hint };
  if (code === 'OB001') return new OutboxError('OUTBOX_EVENT_CONFLICT', message, options);
  if (code === 'OB002') return new OutboxError('OUTBOX_CONFIG_INVALID', message, options);
  if (code === 'OB003') return new OutboxError('OUTBOX_EVENT_INVALID', message, options);
  if (code === 'OB041') return new OutboxError('OUTBOX_MESSAGE_SETTLED', message, options);
  if (code === 'OB042') return new OutboxError('OUTBOX_PRODUCER_UNKNOWN', message, options);
  if (code === 'OB043') return new OutboxError('OUTBOX_NOT_FOUND', message, options);
  if (code === '25006') {
    return new OutboxError('OUTBOX_POSTGRES_READ_ONLY', `${where} is a read-only standby`, {
      cause: error,
      hint: 'Point OUTBOX_DATABASE_URL at the primary.',
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
  if (isTransient(error) || code.startsWith('28') || code === '3D000') {
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

/** `host:port/database` of a connection URL: fit for a message, without user or password. */
export function describeDatabase(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `${host || 'localhost'}${pathname}`;
  } catch {
    return '(an address that is no URL)';
  }
}
