import { askedToWaitMs, asksToWait, claimAfterWait } from '../src/core/askedToWait.ts';
import {
  isFaultOfDestination,
  isReturned,
  judge,
  isSign,
  nextProbeDelayMs,
  waitsForProof,
  type FailedOutcome,
  type Tally,
  type Verdict,
} from '../src/core/circuit.ts';
import type { CircuitConfig, DestinationConfig } from '../src/core/destination.ts';
import type { FailureRow } from '../src/storage/attempts.ts';
import { countOutcomes, type AttemptCounts, type CircuitChange } from '../src/storage/circuits.ts';
import type { ActivityDependencies } from './dependencies.ts';

/** A failure as it is written, and what was answered; null when nothing was sent. */
export interface NotedFailure {
  readonly row: FailureRow;
  readonly outcome: FailedOutcome | null;
  /** Whether its event was refused before. */
  readonly again: boolean;
  /** Of its event. */
  readonly type: string;
  /** Since its first attempt, when it was loaded; 0 for that one. */
  readonly sinceFirstMs: number;
}

export interface FailedAttempt {
  /** Undefined for a destination that is gone: then there is nobody to blame but the events. */
  readonly config: DestinationConfig | undefined;
  readonly tally: Tally;
  readonly failures: readonly NotedFailure[];
  /** Acknowledgements in the tally that were told to Acknowledged as they came: a batch stays open for seconds. */
  readonly noted: number;
}

export interface Judgement {
  /** Charged to their events, by each one's policy. */
  readonly own: readonly NotedFailure[];
  /** Go back uncharged, with all that is left of the batch; null when nothing goes back. */
  readonly returned: readonly NotedFailure[] | null;
  /** What this attempt did to its destination. */
  readonly change: CircuitChange | null;
}

/** Of one attempt; a few are enough to tell several from one. */
const signsKept = 100;

/**
 * Whose fault the failures of an attempt are: adds them to what is counted of the destination, and judges by the sum. `persisted` repeats a
 * write until it is taken.
 */
export async function judgeAttempt(
  { pool, acknowledged, log, random }: ActivityDependencies,
  lane: string,
  { config, tally, failures, noted }: FailedAttempt,
  persisted: <T>(count: () => Promise<T>) => Promise<T>,
): Promise<Judgement> {
  const allOwn = { own: failures, returned: null, change: null };
  if (config === undefined) return allOwn;
  const { circuit: policy } = config;
  const counts = countsOf(tally, acknowledged.take(lane, policy.windowMs), noted);
  const circuit = await persisted(() => countOutcomes(pool, lane, counts, policy.windowMs));
  if (circuit === undefined) return allOwn;
  acknowledged.noteForgiven(lane, circuit.forgivenMs);
  const verdict = judge(policy, tally, circuit);
  const charged = failures.map((each) => parkedBySign(policy, tally, each));
  if (verdict.kind === 'record') return { ...allOwn, own: charged };
  const isOwn = ({ row, outcome }: NotedFailure): boolean =>
    outcome === null ||
    !isReturned(verdict, circuit, outcome, asksToWait(config.retry, outcome)) ||
    // Out of time, while nothing stops its clock.
    (verdict.kind === 'wait' && row.park !== null);
  const change = changeBy(verdict, config, { tally, failures }, circuit.failedProbes, random());
  if (verdict.kind === 'wait') log.info({ destination: lane, ...change }, 'the destination asked for time');
  else if (change !== null) log.warn({ destination: lane, ...change }, saidOf(change));
  return { own: charged.filter(isOwn), returned: failures.filter((each) => !isOwn(each)), change };
}

/** In the words of `status` and `destinations list`. */
function saidOf(change: CircuitChange): string {
  return 'pause' in change ? 'the destination is paused' : 'the circuit of the destination is open';
}

/** Others went through: what looked like a sign that the endpoint is gone is about this event, and no retry mends it. */
export function parkedBySign(policy: CircuitConfig, tally: Tally, failure: NotedFailure): NotedFailure {
  const { row, outcome } = failure;
  if (outcome?.kind !== 'refused' || !outcome.permanent || !waitsForProof(policy, outcome)) return failure;
  if (!tally.isProven(row.eventId)) return failure;
  return { ...failure, row: { ...row, park: 'permanent', delayMs: 0 } };
}

function countsOf(tally: Tally, acknowledged: number, noted: number): AttemptCounts {
  const isFault = tally.streak > 0 && isFaultOfDestination(tally.streakClass) && !isSign(tally.streakClass);
  const aside = tally.aside.all;
  return {
    acknowledged,
    requests: tally.total - noted - aside,
    sick: tally.sick - aside,
    unreachable: tally.answered ? 0 : tally.inVain,
    answered: tally.answered,
    fault: isFault ? tally.streakClass : null,
    // One event that is retried twenty times is one event.
    faults: tally.freshStreak,
    signs: tally.signs.slice(0, signsKept),
    wentThrough: acknowledged + tally.acknowledged > 0,
  };
}

function changeBy(
  verdict: Verdict,
  config: DestinationConfig,
  { tally, failures }: Pick<FailedAttempt, 'tally' | 'failures'>,
  failedProbes: number,
  random: number,
): CircuitChange | null {
  if (verdict.kind === 'record' || verdict.kind === 'return') return null;
  const answers = failures.flatMap(({ outcome }) => outcome ?? []);
  if (verdict.kind === 'wait') {
    const asking = answers.filter((answer) => asksToWait(config.retry, answer));
    const waitMs = askedToWaitMs(config.retry, asking);
    return { wait: { waitMs, claimAtMost: claimAfterWait(tally.acknowledged) } };
  }
  const last = failures.at(-1)?.row;
  const isMoved = verdict.kind === 'pause' && last !== undefined && isSign(last.errorClass);
  const facts = {
    // Where it moved to is in the last one's message.
    reason: isMoved ? `${verdict.reason}: ${last.message}` : verdict.reason,
    status: last?.status ?? null,
    errorClass: last?.errorClass ?? null,
  };
  if (verdict.kind === 'pause') return { pause: facts };
  const nextProbeMs = nextProbeDelayMs(config, failedProbes, random, answers);
  return { open: { ...facts, nextProbeMs, windowMs: config.circuit.windowMs } };
}
