/** A broker as a process of its own, that can be killed and started again with the same data. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';

export interface BrokerProgram {
  /** Of its data. */
  readonly directory: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The port that has to be free again before the next start. */
  readonly port: number;
  /** Throws until the broker takes clients. */
  readonly ready: () => Promise<unknown>;
  /** Milliseconds; default a minute. */
  readonly patience?: number;
}

export interface BrokerProcess {
  /** SIGKILL; resolves when it is gone. */
  readonly kill9: () => Promise<void>;
  /** Again, with the same data; resolves when it takes clients. */
  readonly start: () => Promise<void>;
  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
}

/** For its data. */
export function brokerDirectory(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `outbox-${name}-`));
}

/** The caller stops it. */
export async function launchBroker(program: BrokerProgram): Promise<BrokerProcess> {
  let child: ChildProcess | undefined;
  let said = '';
  const kill9 = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => void running.once('exit', () => resolve()));
    running.kill('SIGKILL');
    await ended;
    await nobodyListens(program.port);
  };
  const start = async (): Promise<void> => {
    const { command, args, env = {}, ready, patience = 60_000 } = program;
    const started = spawn(command, [...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...env },
    });
    child = started;
    for (const stream of [started.stdout, started.stderr])
      stream.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-4000)));
    await eventually(
      async () => {
        if (started.exitCode !== null) throw new Error(`${command} ended:\n${said}`);
        await ready();
      },
      { timeout: patience, interval: 100 },
    );
  };
  const stop = async (): Promise<void> => {
    await kill9();
    await rm(program.directory, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { kill9, start, stop };
}

/** Until the port can be listened at again. */
async function nobodyListens(port: number): Promise<void> {
  await eventually(
    () =>
      new Promise<void>((resolve, reject) => {
        const server = createServer();
        server.once('error', reject);
        server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
      }),
    { timeout: 20_000 },
  );
}
