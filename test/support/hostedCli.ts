/** Commands of the CLI in long-lived processes, for everyday runs. With OUTBOX_TEST_ALL=1 each has a process of its own. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { everything } from './everything.ts';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Job {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string | undefined;
}

const host = fileURLToPath(new URL('cliHost.mjs', import.meta.url));
const idle: ChildProcess[] = [];

/** Those that start, look or ask and end; not what serves, and nothing that a process reads as it starts. */
const hosted = new Set(
  'completion config destinations dlq doctor erase events housekeeping inbox messages migrate redrive routes send status tokens'.split(
    ' ',
  ),
);
const readAtTheStart =
  /^(NODE_|FORCE_COLOR$|NO_COLOR$|TERM$|LANG$|TZ$|OUTBOX_FAILPOINT|OUTBOX_DESTINATION_TYPES$)/;

export function mayBeHosted({ args, env }: Job): boolean {
  const own = Object.keys(env).some((name) => readAtTheStart.test(name));
  return !everything && hosted.has(args[0] ?? '') && !own;
}

/** One command to its end, in a process that is free, or a new one. */
export async function runHosted(job: Job): Promise<CommandResult> {
  const child = idle.pop() ?? startHost();
  return new Promise((resolve) => {
    const lost = (): void => resolve({ code: null, stdout: '', stderr: 'the process that ran it is gone' });
    child.once('exit', lost).once('message', (answer: CommandResult & { readonly again: boolean }) => {
      const { again, ...result } = answer;
      child.off('exit', lost);
      if (again) idle.push(child);
      else child.kill('SIGKILL');
      resolve(result);
    });
    child.send(job);
  });
}

/** It does not keep this process alive, and is not used once it ended by itself. */
function startHost(): ChildProcess {
  const child = fork(host, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.unref();
  child.once('exit', () => {
    const place = idle.indexOf(child);
    if (place >= 0) idle.splice(place, 1);
  });
  return child;
}
