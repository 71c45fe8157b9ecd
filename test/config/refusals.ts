import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/settings/findings.ts';
import { parseConfig } from '../../src/config/load.ts';
import { environment } from './fixtures.ts';

export const invalid = 'OUTBOX_CONFIG_INVALID';
export const secretMissing = 'OUTBOX_SECRET_MISSING';

/** A configuration with exactly one thing wrong, and what is said about it. */
export type Row = readonly [
  what: string,
  text: string,
  code: string,
  line: number,
  key: string,
  message: string,
];

export function problemsOf(text: string): ConfigError {
  try {
    parseConfig(text, { path: 'outbox.yaml', env: environment });
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the configuration was taken');
}

export function describeRefusals(where: string, rows: readonly Row[]): void {
  describe(`refused in ${where}:`, () => {
    it.each(rows)('%s', (_what, text, code, line, key, message) => {
      const error = problemsOf(text);
      expect(error.code).toBe(code);
      expect(error.problems).toHaveLength(1);
      expect(error.problems[0]).toMatchObject({ file: 'outbox.yaml', line, key, code });
      expect(error.problems[0]?.message).toContain(message);
      expect(error.message).toContain(`outbox.yaml:${line}:`);
    });
  });
}
