import type { Log } from '../../activities/index.ts';
import type { Temporal } from './connect.ts';
import { innermostWords, refusesSearchAttribute } from './grpc.ts';
import { hasSearchAttributes } from './namespace.ts';

/** How long what was learned about the search attributes counts; who starts a workflow meanwhile learns it from the refusal. */
const freshMs = 5_000;
const askForMs = 2_000;
/** The client repeats what is refused for load by itself for as long as it is let. */
const listForMs = 5_000;
/** After a list that failed: nothing that must work waits for it. */
const restMs = 30_000;

/**
 * How a process stands with Temporal's visibility: lists of workflows, and the search attributes in them. Both are extras. An operator can
 * take either away at any time; then all goes on without, says so once, and takes them up again when they are back.
 */
export class Visibility {
  readonly #temporal: Temporal;
  readonly #log: Log;
  #hasAttributes: boolean;
  #askedAt = -Infinity;
  #trouble: string | null = null;
  #restUntil = -Infinity;

  /** `hasAttributes`: as found just now, where somebody looked. */
  constructor(temporal: Temporal, log: Log, hasAttributes?: boolean) {
    this.#temporal = temporal;
    this.#log = log;
    this.#hasAttributes = hasAttributes ?? false;
    if (hasAttributes !== undefined) this.#askedAt = performance.now();
  }

  /** Whether workflows are to be started with our search attributes. */
  get hasAttributes(): boolean {
    return this.#hasAttributes;
  }

  /** Why the last list failed; null when it did not. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** What is missing, in words for a person; empty when nothing is. */
  says(): string[] {
    return [
      ...(this.#hasAttributes ? [] : ['search attributes are not registered; workflow ids serve instead']),
      ...(this.#trouble === null
        ? []
        : [`Temporal lists no workflows (${this.#trouble}); rows serve instead`]),
    ];
  }

  /** Asks Temporal unless that was done within seconds. One that does not answer says nothing: what was so stays so. */
  async lookForAttributes(): Promise<boolean> {
    if (performance.now() - this.#askedAt < freshMs) return this.#hasAttributes;
    this.#askedAt = performance.now();
    try {
      this.#learn(
        await this.#temporal.client.withDeadline(Date.now() + askForMs, () =>
          hasSearchAttributes(this.#temporal),
        ),
      );
    } catch {
      // What is refused for them is found where it is refused.
    }
    return this.#hasAttributes;
  }

  /** Starts a workflow with the attributes, and without them where the server refuses them. */
  async withAttributes<T>(start: (searchAttributes: boolean) => Promise<T>): Promise<T> {
    return withOrWithoutAttributes(this.#hasAttributes, start, (error) => {
      this.#askedAt = performance.now();
      this.#learn(false, innermostWords(error));
    });
  }

  /** Lists workflows, unless that failed just now. Undefined where Temporal did not list them. */
  async list<T>(look: () => Promise<T>): Promise<T | undefined> {
    if (performance.now() < this.#restUntil) return undefined;
    try {
      const listed = await this.#temporal.client.withDeadline(Date.now() + listForMs, look);
      if (this.#trouble !== null) this.#log.info({}, 'Temporal lists workflows again');
      this.#trouble = null;
      return listed;
    } catch (error) {
      const why = innermostWords(error);
      if (this.#trouble === null)
        this.#log.warn(
          { error: why },
          'Temporal lists no workflows: what was ended from outside is found by its rows',
        );
      this.#trouble = why;
      this.#restUntil = performance.now() + restMs;
      return undefined;
    }
  }

  #learn(hasAttributes: boolean, error?: string): void {
    if (hasAttributes === this.#hasAttributes) return;
    this.#hasAttributes = hasAttributes;
    if (hasAttributes)
      this.#log.info({}, 'search attributes are registered: workflows have them from now on');
    else
      this.#log.warn(
        error === undefined ? {} : { error },
        'search attributes are not registered any more; workflow ids serve instead',
      );
  }
}

/** For one command that somebody waits for: with the attributes, and without them where the server refuses them. */
export async function withOrWithoutAttributes<T>(
  given: boolean,
  start: (searchAttributes: boolean) => Promise<T>,
  onRefused: (error: unknown) => void = () => undefined,
): Promise<T> {
  try {
    return await start(given);
  } catch (error) {
    if (!given || !refusesSearchAttribute(error)) throw error;
    onRefused(error);
    return start(false);
  }
}
