/** Ours, running: relay and worker in this process, or the built CLI as a process to be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { onTestFailed } from 'vitest';
import type { Log } from '../../activities/index.ts';
import { run, type Running, type RunOptions } from '../../src/run.ts';
import { atEnd } from './cleanup.ts';
import { mayBeHosted, runHosted, type CommandResult } from './hostedCli.ts';
import { servers } from './servers.ts';

export interface LoggedLine {
  readonly level: keyof Log;
  readonly message: string;
  readonly fields: object;
}

export interface TestRun extends Running {
  /** What was logged; shown when the test fails. */
  readonly logged: readonly LoggedLine[];
}

/** The SDK writes to stderr through a logger of the whole process. */
try {
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
} catch {
  // Another file of this process did it.
}

/** Relay and worker in this process; stopped when the test (or the file) ends, or sooner by `stop()`. */
export async function startRun(
  options: Partial<RunOptions> & { readonly databaseUrl: string },
): Promise<TestRun> {
  const { log, logged } = quietLog();
  const { temporalAddress, temporalNamespace } = servers();
  const running = await run({
    temporal: { address: temporalAddress, namespace: temporalNamespace },
    shutdownGraceMs: 1_000,
    log,
    ...options,
  });
  atEnd(() => running.stop());
  return { ...running, logged };
}

/** A log that keeps its lines, and shows the last ones only if the test fails. */
export function quietLog(): { readonly log: Log; readonly logged: readonly LoggedLine[] } {
  const logged: LoggedLine[] = [];
  const at = (level: keyof Log) => (fields: object, message: string) =>
    void logged.push({ level, message, fields });
  try {
    onTestFailed(() => {
      for (const { level, message, fields } of logged.slice(-40)) console.error(level, message, fields);
    });
  } catch {
    // Started in a hook: there is no test yet that could fail.
  }
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, logged };
}

/** A client of the shared Temporal server, or of another; closed with the test (or the file). */
export async function temporalClient(other?: {
  readonly address: string;
  readonly namespace: string;
}): Promise<Client> {
  const { temporalAddress, temporalNamespace } = servers();
  const { address, namespace } = other ?? { address: temporalAddress, namespace: temporalNamespace };
  const connection = await Connection.connect({ address });
  atEnd(() => connection.close());
  return new Client({ connection, namespace });
}

export interface SpawnOptions {
  readonly databaseUrl: string;
  /** After `node dist/src/cli/main.js`; default `['run']`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
}

export interface SpawnedRun {
  readonly pid: number;
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** How it ended, when both its outputs are closed. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Sends the signal and waits for the end. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** The built program. */
export const cli = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

/** The built CLI as a process of its own, on the shared servers; killed when the test (or the file) ends. */
export function spawnRun(options: SpawnOptions): SpawnedRun {
  const { args = ['run'], cwd, input } = options;
  const child = spawn(process.execPath, [cli, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: environmentOf(options),
  });
  child.stdin?.on('error', () => undefined).end(input);
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => resolve({ code, signal }));
  });
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  atEnd(() => kill());
  return { pid: child.pid ?? -1, child, stdout: () => said.stdout, stderr: () => said.stderr, ended, kill };
}

/** One command of the CLI, to its end. */
export async function runCli(
  args: readonly string[],
  options: Omit<SpawnOptions, 'args'>,
): Promise<CommandResult> {
  const job = { args, env: environmentOf(options), cwd: options.cwd };
  if (options.input === undefined && mayBeHosted({ ...job, env: options.env ?? {} })) return runHosted(job);
  const spawned = spawnRun({ ...options, args });
  const { code } = await spawned.ended;
  return { code, stdout: spawned.stdout(), stderr: spawned.stderr() };
}

/** What the CLI finds in its environment: the shared servers, and what the test adds. */
export function environmentOf({ databaseUrl, env = {} }: SpawnOptions): Record<string, string | undefined> {
  const { temporalAddress, temporalNamespace } = servers();
  return {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    OUTBOX_DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: temporalNamespace,
    ...env,
  };
}
