import { cancellationSignal, type ApplicationFailure } from '@temporalio/activity';
import {
  nextCheckDelayMs,
  type CheckBackAnswer,
  type CheckBackQuestion,
  type ProducerConfig,
} from '../src/core/producer.ts';
import {
  finishChecks,
  loadDueMessages,
  openMessages,
  settleChecks,
  type CheckedMessage,
  type DueMessage,
  type MessageSummary,
  type OpenedMessages,
} from '../src/storage/messages.ts';
import type { AttemptInput } from './attempt.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { heartbeating } from './heartbeating.ts';
import { leftToAnother } from './leftToAnother.ts';
import { persist } from './persist.ts';
import { workflowIdHere } from './workflowIdHere.ts';

/** What one check-back came to. */
export interface CheckBackOutcome {
  readonly answer: CheckBackAnswer;
  /** One line for a person where the answer tells nothing: what was answered, or why nothing was. No secret in it. */
  readonly detail: string | null;
}

/** A producer as this process reaches it. */
export interface Reached {
  readonly config: ProducerConfig;
  /** Never rejects; null when `signal` ended it. Null itself: this process cannot ask, another has to. */
  readonly ask:
    ((question: CheckBackQuestion, signal: AbortSignal) => Promise<CheckBackOutcome | null>) | null;
  /** Why it cannot, in words and without secrets. */
  readonly problem?: string;
}

/** The producers of one configuration revision. */
export interface CheckBacks {
  /** Those of the given revision or a later one; undefined for a name that was removed. */
  find(producer: string, configRevision: number): Promise<Reached | undefined>;
}

/** Asked at once, and written with one statement. */
const atOnce = 50;

/**
 * Asks what became of this workflow's messages that are due. Answers are written as they come, under the fencing token; what is
 * returned is only what the rows say. Being asked twice does a producer no harm: its answer is final.
 */
export async function checkBack(
  dependencies: ActivityDependencies,
  { softLimitMs }: AttemptInput,
): Promise<MessageSummary> {
  const workflowId = workflowIdHere();
  const { pool, leaving } = dependencies;
  const signal = AbortSignal.any([cancellationSignal(), leaving.over]);
  const opened = await persist(() => openMessages(pool, workflowId), { signal });
  const finished = (): Promise<MessageSummary> => persist(() => finishChecks(pool, workflowId), { signal });
  if (opened === undefined) return finished();

  await heartbeating(() => askAll(dependencies, opened, softLimitMs, signal));
  cancellationSignal().throwIfAborted();
  return finished();
}

async function askAll(
  { pool, checkBacks, leaving, unwritten }: ActivityDependencies,
  opened: OpenedMessages,
  softLimitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + softLimitMs;
  const find = () => checkBacks.find(opened.producer, opened.configRevision);
  const reached = await persist(find, { signal });
  if (reached?.ask === null) throw leftToOthers(reached);
  while (!signal.aborted && !leaving.asked.aborted && performance.now() < until) {
    const due = await persist(() => loadDueMessages(pool, opened.workflowId, atOnce), { signal });
    if (due.length === 0) return;
    const asked = await Promise.all(due.map((message) => askOne(opened, message, reached, signal)));
    const checked = asked.filter((each) => each !== null);
    const count = checked.length;
    if (!(await persist(() => settleChecks(pool, opened, checked), { signal, unwritten, count }))) return;
  }
}

async function askOne(
  { producer }: OpenedMessages,
  { id, type, key, subject, preparedAt, checks }: DueMessage,
  reached: Reached | undefined,
  signal: AbortSignal,
): Promise<CheckedMessage | null> {
  const check = checks + 1;
  if (reached === undefined || reached.ask === null)
    return {
      id,
      checks,
      answer: 'unknown',
      detail: `there is no producer ${producer} any more`,
      delayMs: null,
    };
  const outcome = await reached.ask({ id, producer, type, key, subject, preparedAt, check }, signal);
  return outcome === null
    ? null
    : { id, checks, ...outcome, delayMs: nextCheckDelayMs(reached.config, check) };
}

/** Another worker may have what it takes: no check-back is counted. */
function leftToOthers({ config: { name, checkBack }, problem }: Reached): ApplicationFailure {
  return leftToAnother(
    checkBack.kind === 'handler' ? 'NoCheckBackHandler' : 'CannotCheckBack',
    `this worker cannot ask producer ${name} back: ${problem ?? 'it does not say why'}`,
  );
}
