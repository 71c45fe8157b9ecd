/** A process of a run, ours or somebody's around us: started again by whoever ended it, and once it ended by itself, which is noted. */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { answers } from '../../src/embedded/ports.ts';
import { atEnd } from '../support/index.ts';
import type { History } from './history.ts';

export interface Program {
  readonly name: string;
  /** Of `node`. */
  readonly args: readonly string[];
  /** `incarnation`: 0 for the first process, 1 for the one after it, … */
  readonly env: (incarnation: number) => Readonly<Record<string, string>>;
  /** Where both its outputs go. */
  readonly log: string;
}

export interface OurProcess {
  readonly name: string;
  pid(): number | undefined;
  signal(signal: NodeJS.Signals): void;
  /** Ends it and starts it again after a pause. */
  restart(signal: 'SIGKILL' | 'SIGTERM', pauseMs: number): Promise<void>;
  /** In order, and for good unless it is started again. */
  stop(): Promise<void>;
  start(): void;
}

const patienceMs = 30_000;

export function keepProcess({ name, args, env, log }: Program, history: History): OurProcess {
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  let asked = false;
  let incarnation = 0;
  const start = (): void => {
    const out = openSync(log, 'a');
    const started = spawn(process.execPath, args, {
      stdio: ['ignore', out, out],
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env(incarnation++) },
    });
    child = started;
    asked = false;
    ended = new Promise((resolve) => {
      started.once('exit', (code, signal) => {
        if (child === started && !asked) {
          history.note({ what: 'ended', process: name, code, signal });
          setTimeout(start, 500);
        }
        resolve();
      });
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    asked = true;
    child?.kill(signal);
    // One that stands still hears nothing but SIGKILL.
    child?.kill('SIGCONT');
    const patience = setTimeout(() => child?.kill('SIGKILL'), patienceMs);
    await ended;
    clearTimeout(patience);
  };
  start();
  atEnd(() => end('SIGKILL'));
  return {
    name,
    pid: () => (child?.exitCode === null && child.signalCode === null ? child.pid : undefined),
    signal: (signal) => void child?.kill(signal),
    restart: async (signal, pauseMs) => {
      if (asked) return;
      await end(signal);
      await sleep(pauseMs);
      start();
    },
    stop: () => end('SIGTERM'),
    start,
  };
}

const given = new Set<number>();

/** For a listener that comes and goes: below those that the system gives to anybody meanwhile, and given once. */
export async function steadyPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    if (given.has(port)) continue;
    given.add(port);
    if (!(await answers(port))) return port;
  }
}

/** Resident memory of a process, MiB; null where /proc does not say. */
export async function rssMiB(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kib === undefined ? null : Math.round(Number(kib) / 1024);
}
