import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { atEnd } from '../support/index.ts';

export const repository = join(import.meta.dirname, '..', '..');

export interface ReceiverProcess {
  /** Its first line. */
  readonly said: string;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
}

/** A program that says a line when it is ready; killed when the test ends. */
export async function startProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ReceiverProcess> {
  const child = spawn(command, args, {
    cwd: repository,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  atEnd(kill);
  const said = await new Promise<string>((resolve, reject) => {
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.includes('\n')) resolve(stdout.split('\n', 1)[0] ?? '');
    });
    child.once('error', reject);
    void ended.then(() => reject(new Error(`${args.join(' ')} ended before it was ready:\n${stderr}`)));
  });
  return { said, kill };
}
