import { Script } from 'node:vm';
import type { WorkerOptions } from '@temporalio/worker';

/** The longest timeout `node:vm` knows, 49 days: what the SDK passes to say "no limit". */
const noLimitMs = 4_294_967_295;

/**
 * Options that run workflow code in the main thread in place of a worker thread.
 *
 * Between claim and first request the time goes into hops: ours is a few dozen lines of workflow code a task, and waking
 * another thread costs more than running them. Measured on 2 busy cores at 100 events/s, from the start's reply to the
 * first activity: worker thread 18 ms, main thread 4 ms; one V8 isolate less in memory besides. The SDK has this mode for
 * debuggers and adds two things to it that every promise and every task of the process would pay for:
 *
 * - a promise hook that compiles a function for each promise of the process, to collect stack traces (10 ms of the 18);
 * - a watchdog thread for each call into workflow code, for a time limit that is no limit in this mode (2 ms).
 *
 * Both are left out. What is lost is the "Call Stack" page of our workflows in the Temporal UI, and the SDK's deadlock
 * detector, which code without loops over anything large does not need. Where the SDK's insides no longer look as
 * expected, its default (a worker thread) is used.
 */
export async function mainThreadOptions(): Promise<Pick<WorkerOptions, 'debugMode'>> {
  const handlers = await stackTraceHandlers();
  if (handlers === undefined) return {};
  // As if they had been installed already: the SDK then leaves the process as it is.
  handlers.installed = true;
  leaveOutWatchdogs();
  return { debugMode: true };
}

interface StackTraceHandlers {
  installed: boolean;
}

/** A part of the SDK that is not its public interface, hence the care. */
async function stackTraceHandlers(): Promise<StackTraceHandlers | undefined> {
  try {
    const name = '@temporalio/worker/lib/workflow/vm-shared.js';
    const { globalHandlers } = (await import(name)) as { globalHandlers?: StackTraceHandlers };
    return typeof globalHandlers?.installed === 'boolean' ? globalHandlers : undefined;
  } catch {
    return undefined;
  }
}

let leftOut = false;

/** Only calls that ask for the longest possible limit are touched: with or without a watchdog they mean the same. */
function leaveOutWatchdogs(): void {
  if (leftOut) return;
  leftOut = true;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with `this` below
  const original = Script.prototype.runInContext;
  Script.prototype.runInContext = function (context, options) {
    if (options?.timeout !== noLimitMs) return original.call(this, context, options) as unknown;
    const { timeout: _unlimited, ...others } = options;
    return original.call(this, context, others) as unknown;
  };
}
