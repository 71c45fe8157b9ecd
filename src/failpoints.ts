/**
 * Named places at which a process can be made to die, fail, wait or stand still, so that tests can show what a crash right there
 * costs. Only the commands that deliver read them from the environment, and only with a second variable beside it that says so:
 *
 *     OUTBOX_FAILPOINTS='after-claim=exit@2; before-flush=sleep(500)' OUTBOX_FAILPOINTS_ALLOWED=crash-test temporal-outbox run
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { nearestWord } from './core/nearest.ts';
import { OutboxError } from './errors.ts';

/** In the order in which a delivery comes past them. */
export const failpoints = {
  'after-claim': 'rows are claimed, nothing else is done',
  'before-start': 'the workflow is about to be started',
  'after-start': 'Temporal has taken the start',
  'after-load': 'the batch is opened, its first rows are loaded',
  'after-send': 'a receiver has answered, nobody has noted it',
  'before-flush': 'answers are noted in memory, about to be written',
  'after-flush': 'acknowledgements are written',
  'before-failures': 'failures are noted in memory, about to be written',
  'after-failures': 'failures are written, dead letters with them; the workflow does not know',
  'before-finish': 'about to write the end of the attempt',
  'after-finish': 'the end of the attempt is written; the workflow does not know',
  'before-resolve': 'a command has arrived, nothing is done',
  'after-resolve': 'a command is carried out in SQL, nobody has its answer',
  'before-redrive': 'a redrive is about to go on by a step',
  'after-redrive': 'a step of a redrive is written, the workflow does not know',
  'after-look': 'the reconciler has marked batches as looked at, and has not looked',
  'after-park': 'the reconciler has parked what an ended workflow held, and has not started another',
  'before-restart': 'the reconciler is about to start a missing workflow',
} as const;

export type Failpoint = keyof typeof failpoints;

/**
 * `exit`: SIGKILL to itself. `error`: throws. `sleep(ms)`. `pause`: SIGSTOP to itself, until somebody sends SIGCONT. With `at`
 * only the time it is reached for the at-th time, else every time.
 */
interface Action {
  readonly kind: 'exit' | 'error' | 'sleep' | 'pause';
  readonly ms: number;
  readonly at: number | null;
}

let armed: Map<string, Action & { reached: number }> | undefined;

/** Does nothing, and answers undefined, unless this place is armed. Where it runs for every message, await only what it answers. */
export function failpoint(name: Failpoint): Promise<void> | undefined {
  return armed === undefined ? undefined : reach(name);
}

/**
 * Reads OUTBOX_FAILPOINTS; answers the names it armed.
 * @throws OutboxError OUTBOX_USAGE for what it does not understand, or without OUTBOX_FAILPOINTS_ALLOWED=crash-test
 */
export function armFailpoints(env: NodeJS.ProcessEnv): readonly string[] {
  const text = env['OUTBOX_FAILPOINTS'] ?? '';
  if (text.trim() === '') return [];
  if (env['OUTBOX_FAILPOINTS_ALLOWED'] !== 'crash-test') {
    throw new OutboxError(
      'OUTBOX_USAGE',
      'OUTBOX_FAILPOINTS is set, which makes this process fail on purpose',
      {
        hint: 'Unset it. In a test of crashes also set OUTBOX_FAILPOINTS_ALLOWED=crash-test.',
      },
    );
  }
  const entries = text
    .split(';')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  armed = new Map(entries.map((entry) => parse(entry)));
  return [...armed.keys()];
}

export function disarmFailpoints(): void {
  armed = undefined;
}

const form = /^([a-z-]+)=(exit|error|pause|sleep\((\d{1,7})\))(?:@([1-9]\d{0,6}))?$/;

function parse(entry: string): [string, Action & { reached: number }] {
  const [, name = '', action = '', ms = '0', at] = form.exec(entry) ?? [];
  if (action === '') {
    throw new OutboxError(
      'OUTBOX_USAGE',
      `OUTBOX_FAILPOINTS: ${JSON.stringify(entry)} is not name=action[@n]`,
      {
        hint: 'Actions are exit, error, pause and sleep(ms). Example: after-claim=exit@2; before-flush=sleep(500)',
      },
    );
  }
  if (!Object.hasOwn(failpoints, name)) {
    const near = nearestWord(name, Object.keys(failpoints));
    throw new OutboxError(
      'OUTBOX_USAGE',
      `OUTBOX_FAILPOINTS: there is no failpoint ${name}${near === null ? '' : `; did you mean ${near}?`}`,
      { hint: `There are: ${Object.keys(failpoints).join(', ')}.` },
    );
  }
  const kind = action.replace(/\(.*/, '') as Action['kind'];
  return [name, { kind, ms: Number(ms), at: at === undefined ? null : Number(at), reached: 0 }];
}

async function reach(name: Failpoint): Promise<void> {
  const action = armed?.get(name);
  if (action === undefined) return;
  action.reached++;
  if (action.at !== null && action.at !== action.reached) return;
  // At once and past any logger: the process may be gone a moment later.
  writeSync(2, `failpoint ${name}: ${action.kind}\n`);
  switch (action.kind) {
    case 'exit':
      process.kill(process.pid, 'SIGKILL');
      // Nothing more may happen while the signal is on its way.
      return new Promise(() => undefined);
    case 'pause':
      process.kill(process.pid, 'SIGSTOP');
      return;
    case 'sleep':
      return sleep(action.ms);
    case 'error':
      throw new Error(`failpoint ${name}`);
  }
}
