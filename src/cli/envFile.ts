import { loadEnvFile } from 'node:process';
import { refuseUsage } from './failure.ts';

/**
 * Reads the files that `--env-file` names, before anything else looks at the environment, and answers the arguments without them.
 * What is set already stays, as with Node's own `--env-file`.
 *
 * @throws OutboxError OUTBOX_USAGE for a file that cannot be read
 */
export function takeEnvFiles(args: readonly string[]): string[] {
  const rest: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at] ?? '';
    if (word === '--') return [...rest, ...args.slice(at)];
    const path = word === '--env-file' ? args[(at += 1)] : /^--env-file=(.*)$/s.exec(word)?.[1];
    if (path === undefined && word !== '--env-file') rest.push(word);
    else load(path ?? '');
  }
  return rest;
}

function load(path: string): void {
  if (path === '') refuseUsage('--env-file: expected the name of a file', 'Example: --env-file .env');
  try {
    loadEnvFile(path);
  } catch (error) {
    const { code = 'not readable' } = error as NodeJS.ErrnoException;
    refuseUsage(`--env-file ${path} cannot be read (${code})`, 'npx temporal-outbox init writes one.');
  }
}
