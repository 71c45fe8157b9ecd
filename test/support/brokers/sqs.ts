/** SQS as moto has it, FIFO queues included: a server of its own, in memory. */
import { spawn, type ChildProcess } from 'node:child_process';
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
  const program = [
    'import sys, moto.sqs.models as models',
    `models.DEDUPLICATION_TIME_IN_SECONDS = ${windowSeconds}`,
    'from moto.server import main',
    `main(['-H', '127.0.0.1', '-p', '${port}'])`,
  ].join('\n');
  const child: ChildProcess = spawn(python, ['-c', program], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], ...(logins ? { INITIAL_NO_AUTH_ACTION_COUNT: '0' } : {}) },
  });
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  const endpoint = `http://127.0.0.1:${port}`;
  await eventually(() => fetch(`${endpoint}/moto-api/data.json`), { timeout: 60_000, interval: 200 }).catch(
    async (error: unknown) => {
      await stop();
      throw error;
    },
  );
  return { port, endpoint, stop };
}
