/** SQS as moto has it, in memory: a server of its own, with the group lock of FIFO queues that moto lacks (sqsServer.py says what). */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '../../../src/embedded/ports.ts';
import { eventually } from '../eventually.ts';
import { requires } from '../requires.ts';

export interface LaunchedSqs {
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  readonly stop: () => Promise<void>;
}

export interface SqsOptions {
  /** For which a FIFO queue drops repeats. Default: SQS's own 300. */
  readonly windowSeconds?: number;
  /** Whether logins are looked at; then nobody has one. */
  readonly logins?: boolean;
}

/** The caller stops it. */
export async function launchSqs({
  windowSeconds = 300,
  logins = false,
}: SqsOptions = {}): Promise<LaunchedSqs> {
  const python = requires.python('moto', 'flask');
  const port = await freePort();
  const program = join(import.meta.dirname, 'sqsServer.py');
  const child: ChildProcess = spawn(python, [program, String(port), String(windowSeconds)], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], ...(logins ? { INITIAL_NO_AUTH_ACTION_COUNT: '0' } : {}) },
  });
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  const endpoint = `http://127.0.0.1:${port}`;
  await eventually(() => fetch(`${endpoint}/moto-api/data.json`), { timeout: 120_000, interval: 200 }).catch(
    async (error: unknown) => {
      await stop();
      throw error;
    },
  );
  return { port, endpoint, stop };
}
