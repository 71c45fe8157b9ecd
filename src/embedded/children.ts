import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { keeperSource } from './keeperSource.ts';

/** Signals sent one after another until the server is gone; `afterMs` counts from the beginning of the stop. */
export interface StopStep {
  readonly signal: NodeJS.Signals;
  readonly afterMs: number;
}

/** What to start, as whom, and how to end it. */
export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Run as this user; null keeps our own. Only root may set it. */
  readonly user: { readonly uid: number; readonly gid: number } | null;
  readonly stopSteps: readonly StopStep[];
  /** Directories to remove when the server has ended, also when we were killed meanwhile. */
  readonly remove: readonly string[];
  /** Remove them only when the end was asked for or we died, not when the command ended by itself. */
  readonly removeOnlyWhenStopped?: boolean;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A server, guarded by a keeper process (keeperSource.ts): it ends when we end, however that happens. */
export interface KeptChild {
  /** Process id of the server itself. */
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  /** null while the server runs. */
  readonly exit: () => ChildExit | null;
  /** The last lines it printed, oldest first. */
  readonly lastLines: () => readonly string[];
  /** Ends the server and waits for it; any number of calls. */
  readonly stop: () => Promise<void>;
}

/** Lines of output kept for an error message. */
const keptLinesMax = 40;

/** Starts `command` under a keeper. Rejects with the operating system's message where it cannot be executed. */
export async function startChild(options: ChildOptions): Promise<KeptChild> {
  const keeper = spawnKeeper(options);
  const lines = collectLines([keeper.stdout, keeper.stderr]);
  const { started, ended } = followControl(keeper);
  const pid = await started;
  let exit: ChildExit | null = null;
  void ended.then((value) => {
    exit = value;
    if (value.code === null && value.signal === null) endOrphan(pid, options.stopSteps);
  });
  return {
    pid,
    exited: ended,
    exit: () => exit,
    lastLines: () => lines,
    stop: async () => {
      if (exit === null) keeper.stdin?.end();
      await ended;
    },
  };
}

function spawnKeeper(options: ChildOptions): ChildProcess {
  const order = {
    command: options.command,
    args: options.args,
    cwd: options.cwd,
    uid: options.user?.uid ?? null,
    gid: options.user?.gid ?? null,
    stopSteps: options.stopSteps,
    remove: options.remove,
    removeOnlyWhenStopped: options.removeOnlyWhenStopped ?? false,
  };
  // The server inherits the keeper's environment: as an argument it would show every secret in it to `ps`.
  // Node's options for our own process (inspectors, loaders) would break or slow the keeper.
  const { NODE_OPTIONS: _ours, ...env } = options.env;
  const keeper = spawn(process.execPath, ['-e', keeperSource, JSON.stringify(order)], {
    cwd: '/',
    env,
    // A session of its own: a terminal's Ctrl-C then reaches us only.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  // Writing to a keeper that is gone is answered by its exit, not by an error nobody listens to.
  keeper.stdin?.on('error', () => undefined);
  return keeper;
}

interface ControlMessage {
  readonly pid?: number;
  readonly error?: string;
  readonly exit?: ChildExit;
}

/** Follows the keeper's control lines: `started` gives the server's pid, `ended` how it ended. */
function followControl(keeper: ChildProcess): { started: Promise<number>; ended: Promise<ChildExit> } {
  let reportedExit: ChildExit = { code: null, signal: null };
  const ended = new Promise<ChildExit>((resolve) => keeper.once('close', () => resolve(reportedExit)));
  const started = new Promise<number>((resolve, reject) => {
    keeper.once('error', reject);
    keeper.once('close', () => reject(new Error('its keeper process ended before the start')));
    createInterface({ input: keeper.stdio[3] as Readable }).on('line', (line) => {
      const message = JSON.parse(line) as ControlMessage;
      if (message.pid !== undefined) resolve(message.pid);
      if (message.error !== undefined) reject(new Error(message.error));
      if (message.exit !== undefined) reportedExit = message.exit;
    });
  });
  return { started, ended };
}

function collectLines(streams: readonly (Readable | null)[]): readonly string[] {
  const lines: string[] = [];
  for (const stream of streams) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > keptLinesMax) lines.shift();
    });
  }
  return lines;
}

/** Somebody killed the keeper itself: it reported no exit, so the server runs on without a guard. */
function endOrphan(pid: number, stopSteps: readonly StopStep[]): void {
  try {
    process.kill(pid, stopSteps[0]?.signal ?? 'SIGKILL');
  } catch {
    // Gone already, which is what was wanted.
  }
}

/** Our environment without the variables that would change how the server behaves. */
export function environmentWithout(prefixes: readonly string[]): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !prefixes.some((prefix) => name.startsWith(prefix))) kept[name] = value;
  }
  return kept;
}
