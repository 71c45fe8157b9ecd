import type { CheckBackOutcome, CheckBacks, Log, Reached } from '../../activities/index.ts';
import {
  checkBackAnswers,
  type CheckBackAnswer,
  type CheckBackQuestion,
  type ProducerConfig,
} from '../core/producer.ts';
import type { Environment } from '../core/secrets.ts';
import { checkBackProblem, createHttpCheckBack, type HttpCheckBack } from '../destination/http/checkBack.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Lack } from '../storage/lacking.ts';
import { readProducers } from '../storage/messages.ts';
import { LiveByName } from './liveByName.ts';

/**
 * Answers what became of a half message, in this process in place of over HTTP. What it throws, and what takes longer than the
 * producer's `timeout` (`signal` tells), counts as `unknown`.
 */
export type CheckBackHandler = (
  question: CheckBackQuestion,
  signal: AbortSignal,
) => Promise<CheckBackAnswer> | CheckBackAnswer;

/** By the name under `producers.<name>.checkBack.handler`. */
export type CheckBackHandlers = Readonly<Record<string, CheckBackHandler>>;

interface Known extends Reached {
  readonly http: HttpCheckBack | undefined;
}

/** The producers as the database has them, with connections that live as long as their configuration does not change. */
export class LiveProducers implements CheckBacks {
  readonly #env: Environment;
  readonly #handlers: CheckBackHandlers;
  readonly #log: Log;
  readonly #live: LiveByName<ProducerConfig, Known>;
  readonly #lacking = new Map<string, Lack>();

  constructor(db: Queryable, env: Environment, handlers: CheckBackHandlers, log: Log) {
    this.#env = env;
    this.#handlers = handlers;
    this.#log = log;
    this.#live = new LiveByName({
      read: async () => {
        const { revision, producers } = await readProducers(db);
        const names = new Set(producers.map(({ name }) => name));
        for (const name of this.#lacking.keys()) if (!names.has(name)) this.#lacking.delete(name);
        return { revision, configs: producers };
      },
      open: (config, previous) => this.#open(config, previous),
      close: async ({ http }) => http?.close(),
    });
  }

  /** By producer: what this process lacks to ask by the latest configuration. */
  get lacking(): ReadonlyMap<string, Lack> {
    return this.#lacking;
  }

  find(name: string, configRevision: number): Promise<Reached | undefined> {
    return this.#live.find(name, configRevision);
  }

  /** Reads the configuration where it is newer. */
  async follow(configRevision: number): Promise<void> {
    await this.#live.follow(configRevision);
  }

  close(): Promise<void> {
    return this.#live.close();
  }

  #open(config: ProducerConfig, previous: Known | undefined): Known {
    const { checkBack } = config;
    if (checkBack.kind === 'http') {
      const problem = checkBackProblem(checkBack, { env: this.#env });
      if (problem !== null) {
        this.#log.error(
          { producer: config.name, problem },
          'this process cannot ask by the latest configuration: it goes on with the one before, or leaves it to another',
        );
        const usable = previous !== undefined && previous.ask !== null;
        this.#lacking.set(config.name, { problem, goesOn: usable });
        return usable ? previous : { config, http: undefined, ask: null, problem };
      }
      this.#lacking.delete(config.name);
      const http = createHttpCheckBack(checkBack, { env: this.#env });
      return { config, http, ask: (question, signal) => http.ask(question, signal) };
    }
    const handler = Object.hasOwn(this.#handlers, checkBack.handler)
      ? this.#handlers[checkBack.handler]
      : undefined;
    if (handler === undefined) {
      this.#log.warn(
        { producer: config.name, handler: checkBack.handler },
        'no such check-back handler in this worker: another one has to ask',
      );
      const problem = `no check-back handler ${checkBack.handler}; give it to createWorker({ checkBacks })`;
      this.#lacking.set(config.name, { problem, goesOn: false, byDesign: true });
      return { config, http: undefined, ask: null, problem };
    }
    this.#lacking.delete(config.name);
    return {
      config,
      http: undefined,
      ask: (question, signal) => askHandler(handler, checkBack.timeoutMs, question, signal),
    };
  }
}

async function askHandler(
  handler: CheckBackHandler,
  timeoutMs: number,
  question: CheckBackQuestion,
  signal: AbortSignal,
): Promise<CheckBackOutcome | null> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const over = AbortSignal.any([deadline, signal]);
  let stop: () => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new Error(`timeout: no answer within ${timeoutMs} ms`));
    over.addEventListener('abort', stop, { once: true });
  });
  try {
    const answer = await Promise.race([(async () => handler(question, over))(), ended]);
    if (checkBackAnswers.includes(answer))
      return { answer, detail: answer === 'unknown' ? 'the handler answered unknown' : null };
    return { answer: 'unknown', detail: `the handler answered ${JSON.stringify(answer)?.slice(0, 60)}` };
  } catch (error) {
    if (signal.aborted) return null;
    const message = error instanceof Error ? error.message : String(error);
    return { answer: 'unknown', detail: `the handler failed: ${message.split('\n')[0]}` };
  } finally {
    over.removeEventListener('abort', stop);
  }
}
