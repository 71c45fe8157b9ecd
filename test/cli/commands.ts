/** What the tests of the command line share. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { atEnd, runCli, type SpawnOptions } from '../support/index.ts';

/** A server that nobody listens on, with a password that must never be shown. */
export const nowhere = 'postgresql://somebody:s3cr3t-pass@127.0.0.1:9/orders';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that needs no server. */
export async function offline(
  args: readonly string[],
  options: Partial<Omit<SpawnOptions, 'args'>> = {},
): Promise<Ended> {
  return runCli(args, { databaseUrl: nowhere, ...options });
}

/** The one JSON value on stdout; fails unless the command ended with `code`. */
export function json<T = Record<string, unknown>>(ended: Ended, code = 0): T {
  expect(ended.code, ended.stderr).toBe(code);
  return JSON.parse(ended.stdout) as T;
}

export interface ShownError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** The error as --json puts it on stderr, nothing being on stdout. */
export function jsonError(ended: Ended): ShownError {
  expect(ended.stdout).toBe('');
  const lines = ended.stderr.trim().split('\n');
  return (JSON.parse(lines.at(-1) ?? '') as { error: ShownError }).error;
}

/** No stack, no password, no colours: stderr is no terminal here. */
export function expectClean({ stdout, stderr }: Ended): void {
  const said = stdout + stderr;
  expect(said).not.toMatch(/^\s+at .*\(?.*:\d+:\d+\)?$/m);
  expect(said).not.toContain('s3cr3t-pass');
  expect(said).not.toContain('\u001b[');
}

/** A folder with these files, removed at the end. */
export async function folderWith(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-cli-test-'));
  // As root, PostgreSQL runs as another user, who has to enter it.
  await chmod(folder, 0o755);
  atEnd(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}
