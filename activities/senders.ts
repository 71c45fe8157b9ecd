/** Who sent a signal: the workflow hears what it says, its history has who said it. */
import { activityInfo, getClient } from '@temporalio/activity';
import type { ParsedCommand, SignalOrigin } from '../src/core/command.ts';
import type { Log } from './dependencies.ts';

export interface Sender {
  /** Whom Temporal authenticated, `jwt:ada@example.com`; null where it authenticates nobody, or does not pass it on. */
  readonly principal: string | null;
  /** What the sender's client said of itself. */
  readonly identity: string | null;
}

/** Of one run: the senders of its signals by name, in their order. */
type Signals = ReadonlyMap<string, readonly Sender[]>;

interface HistoryEvent {
  readonly principal?: { readonly type?: string | null; readonly name?: string | null } | null;
  readonly workflowExecutionSignaledEventAttributes?: {
    readonly signalName?: string | null;
    readonly identity?: string | null;
  } | null;
  readonly workflowExecutionStartedEventAttributes?: {
    readonly continuedExecutionRunId?: string | null;
    readonly identity?: string | null;
  } | null;
}

const readForMs = 5_000;
const eventsPerPage = 1_000;
/** Ten thousand signals come in hundreds: the history is not read for each hundred. */
const runsRemembered = 20;
const signalsOfRuns = new Map<string, Signals>();
/** Of a run, the one that it goes on from; empty for none. */
const runsBefore = new Map<string, string>();

/**
 * The same commands with their senders, for the audit. An update has none: its event is written by the worker that accepts it and bears
 * the worker's principal. A history that cannot be read holds no command up: its sender is not proved then.
 */
export async function withSenders<Sent extends { readonly command: ParsedCommand<string> }>(
  sent: readonly Sent[],
  log: Log,
): Promise<Sent[]> {
  const found: Sent[] = [];
  // One that could not be read is not asked for again and again while commands wait.
  let isReadable = true;
  for (const each of sent) {
    const { origin, sender: _none, ...command } = each.command;
    let sender: Sender | null = null;
    try {
      if (origin !== undefined && isReadable) sender = await senderOf(command.action, origin);
    } catch (error) {
      isReadable = false;
      log.warn({ err: error, ...origin }, 'who sent a signal could not be read from the history');
    }
    found.push({ ...each, command: sender === null ? command : { ...command, sender } });
  }
  return found;
}

async function senderOf(signal: string, { runId, nth }: SignalOrigin): Promise<Sender | null> {
  // Before what is remembered: that may be of any workflow.
  if (!(await isOwn(runId))) return null;
  const known = signalsOfRuns.get(runId)?.get(signal)?.[nth - 1];
  if (known !== undefined) return known;
  const signals = await readSignals(runId);
  remember(signalsOfRuns, runId, signals);
  return signals.get(signal)?.[nth - 1] ?? null;
}

/**
 * Whoever may start workflows may say anything in an input, and so name a signal that somebody else sent to another run. Only the run that
 * Temporal itself says this one goes on from is believed.
 */
async function isOwn(runId: string): Promise<boolean> {
  const own = execution();
  if (runId === own.runId) return true;
  let before = runsBefore.get(own.runId);
  if (before === undefined) {
    const [first] = await page(own.runId, 1);
    before = first?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
    remember(runsBefore, own.runId, before);
  }
  return before === runId;
}

/** Of the person or program that started this very run; null of one that goes on from another, which the worker started. */
export async function starterHere(log: Log): Promise<Sender | null> {
  try {
    const [first] = await page(execution().runId, 1);
    const started = first?.workflowExecutionStartedEventAttributes;
    return first === undefined || started?.continuedExecutionRunId
      ? null
      : { principal: principalOf(first), identity: started?.identity || null };
  } catch (error) {
    log.warn({ err: error }, 'who started this run could not be read from its history');
    return null;
  }
}

async function readSignals(runId: string): Promise<Signals> {
  const signals = new Map<string, Sender[]>();
  for await (const event of eventsOf(runId)) {
    const attributes = event.workflowExecutionSignaledEventAttributes;
    if (!attributes?.signalName) continue;
    const sender = { principal: principalOf(event), identity: attributes.identity || null };
    const earlier = signals.get(attributes.signalName);
    if (earlier === undefined) signals.set(attributes.signalName, [sender]);
    else earlier.push(sender);
  }
  return signals;
}

/** What Temporal does of itself, for a workflow that signals another say, is nobody's proof. */
function principalOf({ principal }: HistoryEvent): string | null {
  if (!principal?.name || principal.type === 'temporal') return null;
  return principal.type ? `${principal.type}:${principal.name}` : principal.name;
}

function remember<Fact>(facts: Map<string, Fact>, runId: string, fact: Fact): void {
  facts.delete(runId);
  facts.set(runId, fact);
  for (const oldest of facts.keys()) {
    if (facts.size <= runsRemembered) break;
    facts.delete(oldest);
  }
}

async function page(runId: string, size: number): Promise<readonly HistoryEvent[]> {
  return (await readPage(runId, size)).events;
}

async function* eventsOf(runId: string): AsyncGenerator<HistoryEvent> {
  let token: Uint8Array | undefined;
  do {
    const { events, next } = await readPage(runId, eventsPerPage, token);
    yield* events;
    token = next;
  } while (token !== undefined);
}

async function readPage(runId: string, maximumPageSize: number, nextPageToken?: Uint8Array) {
  const { namespace, workflowId } = execution();
  const client = getClient();
  const { history, nextPageToken: next } = await client.withDeadline(Date.now() + readForMs, () =>
    client.workflowService.getWorkflowExecutionHistory({
      namespace,
      execution: { workflowId, runId },
      maximumPageSize,
      ...(nextPageToken === undefined ? {} : { nextPageToken }),
    }),
  );
  return { events: history?.events ?? [], next: next != null && next.length > 0 ? next : undefined };
}

function execution() {
  const { workflowExecution, namespace } = activityInfo();
  return {
    namespace,
    workflowId: workflowExecution?.workflowId ?? '',
    runId: workflowExecution?.runId ?? '',
  };
}
