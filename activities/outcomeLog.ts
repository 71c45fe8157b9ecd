import type { FailureRow, DeliveryRow } from '../src/storage/attempts.ts';
import type { Log } from './dependencies.ts';

/** Of one destination, within one window, so many outcomes of a kind get a line of their own. */
const linesEach = 5;
const windowMs = 10_000;
/** Classes of failure that a summary tells apart. */
const classesMax = 10;

type Kind = 'retried' | 'parked';

interface Window {
  lines: number;
  /** What got no line, by class of failure. */
  readonly more: Map<
    string,
    { deliveries: number; readonly example: string; readonly reason: string | null }
  >;
  readonly timer: NodeJS.Timeout;
}

/**
 * One line per outcome, and no flood: a destination that is down with 100,000 rows waiting writes a handful of lines every ten
 * seconds, five in full and then how many more there were, by class.
 */
export class OutcomeLog {
  readonly #log: Log;
  readonly #windows = new Map<string, Window>();
  /** Whether somebody reads a line for each delivery. */
  readonly verbose: boolean;

  constructor(log: Log) {
    this.#log = log;
    this.verbose = log.enabled?.('debug') === true;
  }

  /** Only to be called when `verbose`. */
  acknowledged(workflowId: string, row: DeliveryRow, status: number | null, durationMs: number): void {
    const { destination, eventId, tries } = row;
    this.#log.debug(
      { destination, eventId, attempt: tries + 1, status, durationMs, workflowId },
      'acknowledged',
    );
  }

  /** Failures that were written. `returned`: when they are tried again their destination decides, not their own timetable. */
  failed(workflowId: string, failures: readonly FailureRow[], returned = false): void {
    for (const failure of failures) this.#failed(workflowId, failure, returned);
  }

  /** Says what is still to be said. */
  close(): void {
    for (const key of this.#windows.keys()) this.#end(key);
  }

  #failed(workflowId: string, failure: FailureRow, returned: boolean): void {
    const kind: Kind = failure.park === null ? 'retried' : 'parked';
    const key = `${kind} ${failure.destination}`;
    const window = this.#windows.get(key) ?? this.#open(key);
    if (window.lines++ < linesEach) return this.#say(workflowId, failure, returned);
    const { errorClass, eventId, park } = failure;
    const asClass = window.more.has(errorClass) || window.more.size < classesMax ? errorClass : 'others';
    const more = window.more.get(asClass);
    if (more === undefined) window.more.set(asClass, { deliveries: 1, example: eventId, reason: park });
    else more.deliveries++;
  }

  #open(key: string): Window {
    const timer = setTimeout(() => this.#end(key), windowMs).unref();
    const window: Window = { lines: 0, more: new Map(), timer };
    this.#windows.set(key, window);
    return window;
  }

  #end(key: string): void {
    const window = this.#windows.get(key);
    if (window === undefined) return;
    clearTimeout(window.timer);
    this.#windows.delete(key);
    const [kind, destination] = key.split(' ') as [Kind, string];
    for (const [errorClass, { deliveries, example, reason }] of window.more) {
      const fields = { destination, errorClass, deliveries, example, ...(reason === null ? {} : { reason }) };
      const message = kind === 'retried' ? 'more will be retried' : 'more were parked';
      this.#log[kind === 'retried' ? 'warn' : 'error'](fields, message);
    }
  }

  #say(workflowId: string, failure: FailureRow, returned: boolean): void {
    const { destination, eventId, tries, status, errorClass, message: error, durationMs } = failure;
    const about = {
      destination,
      eventId,
      attempt: tries + 1,
      status,
      errorClass,
      error,
      durationMs,
      workflowId,
    };
    if (failure.park !== null) {
      // Refused for good is about one event; out of attempts or of time is about a receiver that did not come back.
      const level = failure.park === 'permanent' ? 'warn' : 'error';
      this.#log[level]({ ...about, reason: failure.park }, 'parked: waits for a person');
    } else if (returned) {
      this.#log.warn(
        about,
        'goes back to its destination, uncharged: it is sent again when that takes events',
      );
    } else {
      this.#log[failure.charged ? 'info' : 'warn'](
        { ...about, retryInMs: failure.delayMs },
        'will be retried',
      );
    }
  }
}
