import { activityInfo, cancellationSignal } from '@temporalio/activity';
import {
  countPhase,
  forgivenMs,
  nextProbeDelayMs,
  phaseHolds,
  phases,
  probesBeforeCharge,
  type FailedOutcome,
  type PhaseCounts,
} from '../src/core/circuit.ts';
import { chunk, type SplitOff } from '../src/storage/attempts.ts';
import {
  claimProbe,
  closeCircuit,
  finishProbe,
  halfOpen,
  noteFailedProbe,
  readStanding,
  returnLostProbe,
  type ClaimedProbe,
  type DestinationStanding,
} from '../src/storage/circuits.ts';
import { deliverRows } from './deliverRows.ts';
import type { ActivityDependencies, Reachable } from './dependencies.ts';
import { heartbeating } from './heartbeating.ts';
import { parkedBySign } from './judgeAttempt.ts';
import { leftToAnother } from './leftToAnother.ts';
import { Ledger } from './ledger.ts';
import { persist } from './persist.ts';
import { maximumSingles } from './standards.ts';

export interface ProbeReport {
  /** Null when the destination is gone. */
  readonly standing: DestinationStanding | null;
  /** Workflows to be started: they own what the probe could not settle and its destination is not to blame for. */
  readonly started: readonly SplitOff[];
  /** What came of it, one line. */
  readonly message: string;
}

/** What came of one phase. */
interface Phase {
  readonly counts: PhaseCounts;
  readonly holds: boolean;
  readonly failures: readonly FailedOutcome[];
}

/** No new request of a probe is begun after this. */
const softLimitMs = 60_000;
/** Beyond what one attempt may take: after it the reconciler looks for the rows of a lost probe that no other probe followed. */
const holdSlackMs = 30_000;

export async function lookAtDestination(
  { pool }: ActivityDependencies,
  name: string,
): Promise<DestinationStanding | null> {
  return (await readStanding(pool, name)) ?? null;
}

/**
 * Asks a sick destination whether it is well: sends a few events, then more, and closes its circuit when all phases held. Of one
 * that is paused only the first phase is sent, for a person who asked: nothing but a person ends a pause.
 */
export async function probeDestination(
  dependencies: ActivityDependencies,
  name: string,
): Promise<ProbeReport> {
  // One before it, whose activity ran out of time, may still hold outcomes.
  return dependencies.underWay.inTurn(`probe ${name}`, cancellationSignal(), () =>
    probeNow(dependencies, name),
  );
}

async function probeNow(dependencies: ActivityDependencies, name: string): Promise<ProbeReport> {
  const lost = await returnLostProbe(dependencies.pool, name);
  if (lost > 0) dependencies.log.warn({ destination: name }, 'a probe was lost: what it held is returned');
  const standing = await lookAtDestination(dependencies, name);
  const reachable =
    standing === null ? undefined : await dependencies.destinations.find(name, standing.configRevision);
  if (standing === null || reachable === undefined)
    return { standing: null, started: [], message: `there is no destination ${name}` };
  if (reachable.problem !== null)
    throw leftToAnother('CannotSend', `this process cannot send to ${name}: ${reachable.problem}`);
  if (standing.state === 'closed' && !standing.paused)
    return { standing, started: [], message: 'its circuit is closed: there is nothing to probe' };
  const probe = new Probe(dependencies, name, standing, reachable);
  try {
    return await heartbeating(async () => {
      const message = await probe.run();
      const { started } = probe;
      return { standing: await lookAtDestination(dependencies, name), started, message };
    });
  } finally {
    probe.close();
  }
}

class Probe {
  readonly started: SplitOff[] = [];
  readonly #dependencies: ActivityDependencies;
  readonly #name: string;
  readonly #before: DestinationStanding;
  readonly #reachable: Reachable;
  readonly #stop = new AbortController();
  readonly #cancelled = cancellationSignal();
  readonly #abort = (): void => this.#stop.abort();
  #acknowledged = 0;
  #serverErrors = 0;

  constructor(
    dependencies: ActivityDependencies,
    name: string,
    before: DestinationStanding,
    reachable: Reachable,
  ) {
    this.#dependencies = dependencies;
    this.#name = name;
    this.#before = before;
    this.#reachable = reachable;
    this.#cancelled.addEventListener('abort', this.#abort, { once: true });
    dependencies.leaving.over.addEventListener('abort', this.#abort, { once: true });
  }

  close(): void {
    this.#cancelled.removeEventListener('abort', this.#abort);
    this.#dependencies.leaving.over.removeEventListener('abort', this.#abort);
  }

  async run(): Promise<string> {
    const { circuit } = this.#reachable.config;
    if (this.#before.paused) return this.#once();
    if (!circuit.enabled) return this.#closed('circuit.enabled is false');
    for (const phase of phases.keys()) {
      const result = await this.#phase(phase);
      if (result === null && phase === 0)
        return this.#closed('nothing waits: the next event is the probe', {
          unreachable: circuit.unreachableInARow - 1,
        });
      if (result === null) break;
      if (!result.holds) return this.#failed(result);
      if (!(await this.#persisted(() => halfOpen(this.#dependencies.pool, this.#name))))
        return `${spoken(result)}; its circuit was closed or paused meanwhile`;
    }
    return this.#closed(`${this.#acknowledged} events went through`, {
      forgivenMs: this.#serverErrors > 0 && this.#acknowledged > 0 ? forgivenMs : 0,
    });
  }

  /** For a person, of a destination that is paused. */
  async #once(): Promise<string> {
    const result = await this.#phase(0);
    return result === null
      ? 'no event waits to be sent as a probe; it stays paused'
      : `${spoken(result)}; it stays paused until it is resumed`;
  }

  async #closed(
    why: string,
    left: { readonly unreachable?: number; readonly forgivenMs?: number } = {},
  ): Promise<string> {
    await this.#persisted(() => closeCircuit(this.#dependencies.pool, this.#name, why, left));
    this.#dependencies.acknowledged.noteForgiven(this.#name, left.forgivenMs ?? null);
    this.#dependencies.log.info({ destination: this.#name }, `circuit closed: ${why}`);
    this.#dependencies.onProgress(this.#name);
    return `${why}: its circuit is closed`;
  }

  async #failed(result: Phase): Promise<string> {
    const last = result.failures.at(-1);
    const nextProbeMs = nextProbeDelayMs(
      this.#reachable.config,
      this.#before.failedProbes + 1,
      this.#dependencies.random(),
      result.failures,
    );
    const reason = last?.message ?? 'no answer';
    const { status = null, errorClass = null } = last ?? {};
    await this.#persisted(() =>
      noteFailedProbe(this.#dependencies.pool, this.#name, { reason, status, errorClass, nextProbeMs }),
    );
    return `${spoken(result)}: ${reason}`;
  }

  /** Null when no event waits. */
  async #phase(phase: number): Promise<Phase | null> {
    const { check } = this.#reachable.sender;
    if (phase === 0 && check !== null) return this.#ask(check);
    const holdMs = softLimitMs + this.#reachable.config.timeoutMs + holdSlackMs;
    const limit = phases[phase] as number;
    const { pool } = this.#dependencies;
    const claimed = await this.#persisted(() => claimProbe(pool, this.#name, limit, holdMs, chunk));
    return claimed === undefined ? null : this.#send(phase, claimed);
  }

  /** `circuit.probeUrl`: no event need serve as the probe. */
  async #ask(check: NonNullable<Reachable['sender']['check']>): Promise<Phase> {
    const outcome = await check(this.#stop.signal);
    if (outcome.kind === 'aborted') throw new Error('stopped before the probe was answered');
    if (outcome.kind === 'acknowledged')
      return { counts: { acknowledged: 1, refused: 0, down: 0 }, holds: true, failures: [] };
    return {
      counts: { acknowledged: 0, refused: 0, down: 1 },
      holds: false,
      failures: [outcome],
    };
  }

  async #send(phase: number, claimed: ClaimedProbe): Promise<Phase | null> {
    const { config } = this.#reachable;
    const ledger = new Ledger(this.#dependencies, claimed.batch, this.#stop, this.#reachable);
    const limits = { signal: this.#stop.signal, untilMs: performance.now() + softLimitMs };
    const sending = deliverRows(this.#dependencies, claimed.batch, claimed.rows, ledger, limits);
    // What was answered is written even if sending broke off.
    await sending.finally(() => ledger.writeAcknowledged());
    const failures = ledger.failures.flatMap(({ outcome }) => outcome ?? []);
    const counts = countPhase(ledger.tally.acknowledged, failures);
    const wentThrough = this.#acknowledged;
    this.#acknowledged += counts.acknowledged;
    this.#serverErrors += counts.serverErrors ?? 0;
    if (ledger.failures.length + counts.acknowledged === 0) {
      await ledger.giveBack([], null);
      throw new Error('stopped before a probe was answered');
    }
    const holds = phaseHolds(config.circuit, phase, counts, wentThrough);
    if (holds || this.#isItsOwnFault(phase, claimed, failures)) {
      // Each by its own policy: what was refused is charged, what was not answered is not.
      const own = ledger.failures.map((each) => parkedBySign(config.circuit, ledger.tally, each));
      if (await ledger.record(own)) await this.#handOver(claimed);
    } else {
      await ledger.giveBack(ledger.failures, null);
    }
    return { counts, holds, failures };
  }

  /** Until PostgreSQL takes it, beyond the activity's own limit too: a claim that is repeated would leave its rows behind. */
  #persisted<T>(write: () => Promise<T>): Promise<T> {
    return persist(write, { signal: this.#dependencies.leaving.over });
  }

  /** Nobody else waits who could show whose fault it is, and it was refused time and again. */
  #isItsOwnFault(phase: number, { rows, others }: ClaimedProbe, failures: readonly FailedOutcome[]): boolean {
    const sole = phase === 0 && rows.length === 1 && !others;
    return sole && failures[0]?.kind === 'refused' && this.#before.failedProbes + 1 >= probesBeforeCharge;
  }

  async #handOver({ batch }: ClaimedProbe): Promise<void> {
    const { pool, log } = this.#dependencies;
    const started = await this.#persisted(() => finishProbe(pool, batch, maximumSingles));
    if (started === null)
      log.warn({ ...batch, activity: activityInfo().activityId }, 'a later execution owns this probe');
    else this.started.push(...started);
  }
}

function spoken({ counts: { acknowledged, refused, down } }: Phase): string {
  return `${acknowledged} of ${acknowledged + refused + down} acknowledged`;
}
