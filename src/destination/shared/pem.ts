/** Certificates and keys as outbox.yaml names them: `env:NAME`, `file:/absolute/path`, or the PEM itself. */
import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { OutboxError } from '../../errors.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { readSecret } from './secretValues.ts';

const scheme = 'file:';
/** A bundle of all public authorities is some 200 kB. */
const bytesMax = 1024 * 1024;

/** The path of `file:/path`; null for another reference. */
export function pemFile(reference: string): string | null {
  return reference.startsWith(scheme) ? reference.slice(scheme.length) : null;
}

/** What is wrong with a path as it is written; null when nothing is. */
export function pathProblem(path: string): string | null {
  if (path.includes('\u0000') || !isAbsolute(path))
    return 'expected an absolute path after file:, such as file:/etc/outbox/tls.crt';
  return null;
}

/**
 * The PEM. Whoever may write a configuration may name any file: what holds no PEM is refused, and nothing of it is shown.
 * @throws OutboxError OUTBOX_SECRET_MISSING naming variable or file, when it is missing, too large or no PEM
 */
export function readPem(reference: string, source: SecretSource): string {
  const path = pemFile(reference);
  const text = path === null ? readSecret(reference, source) : readFile(path);
  if (/-----BEGIN [A-Z0-9 ]+-----/.test(text)) return text;
  const from = path ?? (reference.startsWith('env:') ? reference : 'the text in the file');
  throw lacking(`${from} holds no PEM (-----BEGIN …-----)`);
}

function readFile(path: string): string {
  const problem = pathProblem(path);
  if (problem !== null) throw lacking(problem);
  try {
    const found = statSync(path);
    if (!found.isFile()) throw lacking(`${path} is no file`);
    if (found.size > bytesMax) throw lacking(`${path} is larger than ${bytesMax} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof OutboxError) throw error;
    const { code = 'unknown error' } = error as { code?: string };
    throw lacking(`${path} cannot be read (${code})`);
  }
}

function lacking(problem: string): OutboxError {
  return new OutboxError('OUTBOX_SECRET_MISSING', problem, {
    hint: 'Put the certificate or key there, as PEM, for every process that sends (run, worker).',
  });
}
