import type { Log, SplitOff } from '../../activities/index.ts';

/** Starts at once, and a second: so many at any time, and a quarter more of as many destinations as wait. */
const atOnce = 8;
const perSecond = { least: 20, ofWaiting: 0.25 };
const burst = 20;
/** Between looks which destinations are held by now. */
const callOffEveryMs = 500;

export interface ApartOptions {
  /** Starts one, until that is certain or the signal says to stop. */
  readonly start: (single: SplitOff, signal: AbortSignal) => Promise<void>;
  /** Gives rows of destinations that are held by now back to their lanes; answers the workflows that are not needed any more. */
  readonly callOff: (workflowIds: readonly string[]) => Promise<readonly string[]>;
  readonly log: Log;
}

/**
 * Starts the workflows of deliveries that left a batch which mixes destinations, in the background. Where hundreds of destinations die at one moment there
 * are hundreds a second, and with all of them at once Temporal had no time left for the batches of the others. So they go at a pace, destinations in turns; and
 * when a circuit opens, what waited for a start here goes back to its lane. Those that a process which stops did not come to are found missing by
 * the reconciler.
 */
export class Apart {
  readonly #options: ApartOptions;
  /** By destination; one that got a start goes to the end. */
  readonly #waiting = new Map<string, SplitOff[]>();
  readonly #stopping = new AbortController();
  #underWay = 0;
  #allowance = burst;
  #allowedAt = performance.now();
  #calledOffAt = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ApartOptions) {
    this.#options = options;
  }

  add(left: readonly SplitOff[]): void {
    for (const single of left) {
      const ofLane = this.#waiting.get(single.lane);
      if (ofLane === undefined) this.#waiting.set(single.lane, [single]);
      else ofLane.push(single);
    }
    this.#pump();
  }

  stop(): void {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#stopping.signal.aborted) return;
    const now = performance.now();
    const rate = perSecond.least + perSecond.ofWaiting * this.#waiting.size;
    this.#allowance = Math.min(burst, this.#allowance + ((now - this.#allowedAt) * rate) / 1000);
    this.#allowedAt = now;
    while (this.#underWay < atOnce && this.#allowance >= 1) {
      const single = this.#next();
      if (single === undefined) return;
      this.#allowance--;
      this.#underWay++;
      void this.#options.start(single, this.#stopping.signal).finally(() => {
        this.#underWay--;
        this.#pump();
      });
    }
    if (this.#waiting.size === 0) return;
    if (now - this.#calledOffAt >= callOffEveryMs) void this.#callOff(now);
    this.#timer = setTimeout(() => this.#pump(), 1000 / rate);
  }

  #next(): SplitOff | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const [lane, ofLane] = first;
    const single = ofLane.shift();
    this.#waiting.delete(lane);
    if (ofLane.length > 0) this.#waiting.set(lane, ofLane);
    return single;
  }

  async #callOff(now: number): Promise<void> {
    this.#calledOffAt = now;
    const asked = [...this.#waiting.values()].flat().map(({ workflowId }) => workflowId);
    const gone = new Set(
      await this.#options.callOff(asked).catch((error: unknown) => {
        this.#options.log.warn({ error: String(error) }, 'starts of failed deliveries not called off');
        return [];
      }),
    );
    for (const [lane, ofLane] of gone.size === 0 ? [] : this.#waiting) {
      const left = ofLane.filter(({ workflowId }) => !gone.has(workflowId));
      if (left.length > 0) this.#waiting.set(lane, left);
      else this.#waiting.delete(lane);
    }
  }
}
