import { firstLine } from '../../core/firstLine.ts';
import { errorCatalogue, isOutboxError } from '../../errors.ts';
import { deniedBy } from '../failure.ts';

/** What one check came to. */
export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly found: string;
  readonly hint: string | null;
  /** The error's code, where there was one. */
  readonly code: string | null;
}

export function ok(check: string, found: string): Finding {
  return { check, level: 'ok', found, hint: null, code: null };
}

export function warn(check: string, found: string, hint: string): Finding {
  return { check, level: 'warn', found, hint, code: null };
}

export function fail(check: string, found: string, hint: string): Finding {
  return { check, level: 'fail', found, hint, code: null };
}

export function failedBy(check: string, error: unknown): Finding {
  const { code, hint = null } = isOutboxError(error) ? error : (deniedBy(error) ?? { code: null });
  return { check, level: 'fail', found: firstLine(error), hint, code };
}

/** The first three, and how many more there are. */
export function firstThree(texts: readonly string[]): string {
  const more = texts.length - 3;
  return [...texts.slice(0, 3), ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

/** 3 when a server was not reached, 1 when anything else failed. Warnings do not fail. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 3 {
  const failed = findings.filter(({ level }) => level === 'fail');
  const unreachable = failed.some(
    ({ code }) =>
      code !== null &&
      code in errorCatalogue &&
      errorCatalogue[code as keyof typeof errorCatalogue].exitCode === 3,
  );
  return unreachable ? 3 : failed.length > 0 ? 1 : 0;
}
