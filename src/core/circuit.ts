/**
 * A sick destination is not a sick event: when to stop calling a destination, and when to call it again. Pure: what was
 * counted, the clock and randomness are passed in.
 */
import { LaneMemory } from './laneMemory.ts';
import { askedToWaitMs, type Asking } from './askedToWait.ts';
import type { CircuitConfig, DestinationConfig } from './destination.ts';
import type { SendOutcome } from './outcome.ts';

export type FailedOutcome = Extract<SendOutcome, { kind: 'refused' | 'unreachable' }>;

/** The part of a failure that says something of the destination. */
export type FailureFacts =
  | Pick<Extract<SendOutcome, { kind: 'refused' }>, 'kind' | 'permanent' | 'status' | 'errorClass'>
  | Pick<Extract<SendOutcome, { kind: 'unreachable' }>, 'kind' | 'status' | 'errorClass'>;

/**
 * - `unreachable`: it could not be asked.
 * - `server-error`: it answered 5xx, and may answer otherwise later.
 * - `refused`: it looked at the event and said no.
 */
export type Ailment = 'unreachable' | 'server-error' | 'refused';

export function ailmentOf(failure: FailureFacts): Ailment {
  if (failure.kind === 'unreachable') return 'unreachable';
  return !failure.permanent && (failure.status ?? 0) >= 500 ? 'server-error' : 'refused';
}

/** Refusals of one class, with nothing else among them, that say more of the destination than of the events. */
export const alikeMinimum = 20;
const alikeShare = 0.9;

/**
 * Whoever answers so looked at the credentials or at the address, not at the event: the destination's fault until an event
 * succeeds after it.
 */
const faultsOfDestination = new Set([
  'http-401',
  'http-403',
  'http-404',
  'http-407',
  'bad-configuration',
  'blocked-address',
  // Of brokers: what the destination names is not there, of another kind, or not ours.
  'unknown-target',
  'wrong-target',
  'access-refused',
]);

export function isFaultOfDestination(errorClass: string): boolean {
  return faultsOfDestination.has(errorClass) || isSign(errorClass);
}

/**
 * A sign that the endpoint is not there any more: a redirect, or 410 Gone ("the endpoint is gone, stop sending", Standard Webhooks). One
 * message alone proves nothing, as 410 may mean the message: several must have got it, with none going through meanwhile.
 */
export function isSign(errorClass: string): boolean {
  return /^http-(3\d\d|410)$/.test(errorClass);
}

/** So many different events with a sign, and none that went through between them, pause their destination. */
export const signsMinimum = 3;

export interface FailedEvent {
  readonly asked?: boolean;
  readonly again?: boolean;
  readonly type?: string;
  readonly eventId?: string;
  /** When it was first sent, in the time of `acknowledge`. */
  readonly sinceMs?: number;
}

/** What one attempt came to, as it goes on. */
export class Tally {
  acknowledged = 0;
  unreachable = 0;
  serverErrors = 0;
  refused = 0;
  /** Requests that were told to come again later (`asksToWait`). */
  toldToWait = 0;
  /** 5xx of events that were refused before: they gather in rounds of retries, and show only with others beside them what is sick. */
  repeated = 0;
  #limited = 0;
  /** The latest failures of one class in a row, without a success between them. */
  streak = 0;
  streakClass = '';
  streakAilment: Ailment = 'refused';
  /** Those of the streak that are not from events refused before: only these are added up over attempts. */
  freshStreak = 0;
  /** The latest sign. */
  signClass = '';
  readonly #signs = new Map<string, number>();
  readonly #memory: LaneMemory;
  /** 5xx by type of event, and how many of them are no repeats. */
  readonly #serverErrors = new Map<string, { all: number; fresh: number }>();
  readonly #refusals = new Map<string, number>();

  /** `memory`: of this attempt and of those before it. */
  constructor(memory = new LaneMemory()) {
    this.#memory = memory;
  }

  acknowledge(type = '', nowMs = 0): void {
    this.acknowledged++;
    this.streak = 0;
    this.#memory.acknowledge(type, nowMs);
  }

  /** `asked`: see `asksToWait`. `again`: the event was refused before. */
  fail(
    failure: FailureFacts,
    { asked = false, again = false, type = '', eventId = '', sinceMs = Infinity }: FailedEvent = {},
  ): void {
    if (asked) this.toldToWait++;
    if (isSign(failure.errorClass)) {
      this.signClass = failure.errorClass;
      this.#signs.set(eventId, sinceMs);
    }
    if (ailmentOf(failure) === 'server-error') this.#noteServerError(type, again);
    // Who says "too many" is there: it says nothing of how the rest fares.
    if (asked && failure.status === 429) return void this.#limited++;
    const { errorClass } = failure;
    const ailment = ailmentOf(failure);
    if (again && ailment === 'server-error') {
      this.serverErrors++;
      this.repeated++;
      return;
    }
    // They are alike because they were retried together.
    if (again && ailment === 'refused' && !isFaultOfDestination(errorClass)) return void this.refused++;
    const goesOn = this.streak > 0 && this.streakClass === errorClass;
    this.streak = goesOn ? this.streak + 1 : 1;
    this.freshStreak = (goesOn ? this.freshStreak : 0) + (again ? 0 : 1);
    this.streakClass = errorClass;
    this.streakAilment = ailment;
    if (ailment === 'unreachable') this.unreachable++;
    else if (ailment === 'server-error') this.serverErrors++;
    else {
      this.refused++;
      this.#refusals.set(errorClass, this.refusalsOf(errorClass) + 1);
    }
  }

  get answered(): boolean {
    return this.acknowledged + this.refused + this.serverErrors > 0;
  }

  /** Requests that could not be asked. Of those that came too many, all at once and in vain, one counts. */
  get inVain(): number {
    return this.unreachable + (this.#limited > 0 && !this.answered ? 1 : 0);
  }

  get sick(): number {
    return this.inVain + this.serverErrors;
  }

  get total(): number {
    return this.acknowledged + this.sick + this.refused;
  }

  #noteServerError(type: string, again: boolean): void {
    this.#memory.fail(type);
    const noted = this.#serverErrors.get(type) ?? { all: 0, fresh: 0 };
    this.#serverErrors.set(type, {
      all: noted.all + 1,
      fresh: noted.fresh + (again ? 0 : 1),
    });
  }

  /** Different events that got a sign, with none that went through since they were first sent. */
  get signs(): string[] {
    const unproven = [...this.#signs].filter(([, sinceMs]) => !this.#memory.wentThroughSince(sinceMs));
    if (unproven.length < this.#signs.size) this.#memory.meansMessages = true;
    return unproven.map(([eventId]) => eventId);
  }

  /** So many of them are several. More where it is known that the receiver says so of single messages, and by chance of some in a row. */
  get signsNeeded(): number {
    return this.#memory.meansMessages ? alikeMinimum : signsMinimum;
  }

  /** Whether an event went through since this one, with its sign, was first sent: then the sign is about this event. */
  isProven(eventId: string): boolean {
    const sinceMs = this.#signs.get(eventId);
    return sinceMs !== undefined && this.#memory.wentThroughSince(sinceMs);
  }

  /** 5xx of event types that are sick alone: they say nothing of the destination. `fresh`: those that are no repeats. */
  get aside(): { readonly all: number; readonly fresh: number } {
    const aside = { all: 0, fresh: 0 };
    for (const [type, { all, fresh }] of this.#serverErrors) {
      if (!this.#memory.isSickAlone(type)) continue;
      aside.all += all;
      aside.fresh += fresh;
    }
    return aside;
  }

  refusalsOf(errorClass: string): number {
    return this.#refusals.get(errorClass) ?? 0;
  }

  /** The refusal most of them got. */
  get commonest(): { readonly errorClass: string; readonly count: number } | null {
    let found: { errorClass: string; count: number } | null = null;
    for (const [errorClass, count] of this.#refusals)
      if (found === null || count > found.count) found = { errorClass, count };
    return found;
  }
}

/** How the destination stands for all processes, this attempt's counts included. */
export interface CountedCircuit {
  readonly state: 'closed' | 'open' | 'half-open';
  readonly paused: boolean;
  /** In the current window. */
  readonly requests: number;
  readonly failures: number;
  /** Over attempts, with no answer between them. */
  readonly unreachableInARow: number;
  /** Failures in a row, over attempts, of one class that is the destination's fault. */
  readonly faultsInARow: number;
  /**
   * Different events with a sign (`isSign`), and none that went through since they were first sent; those that paused it before a person
   * resumed it do not count.
   */
  readonly signs: number;
  /**
   * For so many milliseconds yet 5xx are the events' own, as its last probe met some beside successes; null when they are not. Only being
   * unreachable opens it meanwhile.
   */
  readonly forgivenMs: number | null;
}

/** Of a destination that nothing was ever counted of. */
export const untouched: CountedCircuit = {
  state: 'closed',
  paused: false,
  requests: 0,
  failures: 0,
  unreachableInARow: 0,
  faultsInARow: 0,
  signs: 0,
  forgivenMs: null,
};

/**
 * - `record`: each failure is its event's own.
 * - `return`: somebody opened or paused it meanwhile: what failed goes back, uncharged.
 * - `open`, `pause`: the same, and this attempt is the reason.
 * - `wait`: it is well and asked for time: those that were told so go back, with what was not sent.
 */
export type Verdict =
  | { readonly kind: 'record' }
  | { readonly kind: 'return' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'open'; readonly reason: string }
  | { readonly kind: 'pause'; readonly reason: string };

const record: Verdict = { kind: 'record' };

/** What an attempt with failures means. */
export function judge(config: CircuitConfig, tally: Tally, circuit: CountedCircuit): Verdict {
  if (circuit.paused || circuit.state !== 'closed') return { kind: 'return' };
  const well: Verdict = tally.toldToWait > 0 ? { kind: 'wait' } : record;
  if (!config.enabled) return well;
  return judgeRefusals(tally, circuit) ?? judgeSickness(config, tally, circuit) ?? well;
}

function judgeRefusals(tally: Tally, circuit: CountedCircuit): Verdict | null {
  if (tally.signs.length > 0 && circuit.signs >= tally.signsNeeded)
    return {
      kind: 'pause',
      reason: `${circuit.signs} events got ${spoken(tally.signClass)}, and none went through`,
    };
  const { commonest } = tally;
  if (commonest === null) return null;
  const { errorClass, count } = commonest;
  // Signs count by their own rule alone: else what a person resumed would be paused by the same events.
  if (!isSign(errorClass) && count >= alikeMinimum && count >= alikeShare * tally.total)
    return { kind: 'pause', reason: `${count} of ${tally.total} events got ${spoken(errorClass)}` };
  const isFault = isFaultOfDestination(tally.streakClass) && !isSign(tally.streakClass);
  const inARow = tally.streak > 0 && isFault ? Math.max(tally.streak, circuit.faultsInARow) : 0;
  if (inARow >= alikeMinimum)
    return { kind: 'pause', reason: `${inARow} events in a row got ${spoken(tally.streakClass)}` };
  return null;
}

function judgeSickness(config: CircuitConfig, tally: Tally, circuit: CountedCircuit): Verdict | null {
  if (tally.sick === 0) return null;
  if (circuit.unreachableInARow >= config.unreachableInARow)
    return { kind: 'open', reason: `unreachable ${circuit.unreachableInARow} times in a row` };
  if (tally.streakAilment === 'unreachable' && tally.streak >= alikeMinimum)
    return { kind: 'open', reason: `unreachable ${tally.streak} times in a row` };
  if (circuit.forgivenMs !== null) return judgeRate(config, tally.inVain, tally.total);
  const needed = Math.max(alikeMinimum, config.minimumRequests);
  if (tally.streakAilment === 'server-error' && tally.streak >= needed && tally.aside.all === 0)
    return { kind: 'open', reason: `${tally.streak} events in a row got ${spoken(tally.streakClass)}` };
  const { sick, total, aside } = tally;
  const unfair = tally.repeated + aside.fresh;
  return (
    judgeRate(config, sick - unfair, total - unfair) ??
    // What is not counted is no occasion either.
    (sick > aside.all ? judgeRate(config, circuit.failures, circuit.requests) : null)
  );
}

function judgeRate(config: CircuitConfig, failures: number, requests: number): Verdict | null {
  if (requests < config.minimumRequests || failures < config.failureRate * requests) return null;
  return { kind: 'open', reason: `${failures} of ${requests} requests failed` };
}

function spoken(errorClass: string): string {
  return errorClass.replace(/^http-/, 'HTTP ');
}

/** Whether an attempt has seen enough: the rest of its rows would meet the same. `forgivenMs`: see `CountedCircuit`. */
export function stopsEarly(
  config: CircuitConfig,
  tally: Tally,
  forgivenMs: CountedCircuit['forgivenMs'] = null,
): boolean {
  if (tally.toldToWait > 0) return true;
  const alone = { ...untouched, signs: tally.signs.length, forgivenMs };
  return tally.streak >= alikeMinimum && judge(config, tally, alone).kind !== 'record';
}

/**
 * Whether a failure that no retry can mend, by its destination's list, is retried all the same: a sign may be the endpoint's, until
 * another event goes through.
 */
export function waitsForProof(config: CircuitConfig, failure: FailureFacts): boolean {
  return config.enabled && isSign(failure.errorClass);
}

/** Whether a failure goes back uncharged when the attempt's verdict is not to record it. `asked`: see `asksToWait`. */
export function isReturned(
  verdict: Verdict,
  circuit: CountedCircuit,
  failure: FailureFacts,
  asked = false,
): boolean {
  if (verdict.kind === 'record') return false;
  if (verdict.kind === 'wait') return asked;
  // A pause is about refusals, or a person's wish: nothing is charged to anybody.
  if (verdict.kind === 'pause' || circuit.paused) return true;
  return ailmentOf(failure) !== 'refused' || isFaultOfDestination(failure.errorClass);
}

const probeJitter = 0.2;

/** Until the next probe: doubles with every failed one, never sooner than the receiver asked for. */
export function probeDelayMs(
  config: CircuitConfig,
  failedProbes: number,
  random: number,
  retryAfterMs: number,
): number {
  // Above 2^40 the maximum has long been reached; an exponent without bound would end in Infinity × 0.
  const plain = Math.min(
    config.probeAfterMs * 2 ** Math.min(failedProbes, 40),
    config.maximumProbeIntervalMs,
  );
  return Math.max(Math.round(plain * (1 + probeJitter * (2 * random - 1))), retryAfterMs);
}

/** Until the next probe, by what the failures of the latest attempt or probe asked for. `failedProbes`: in vain so far. */
export function nextProbeDelayMs(
  { circuit, retry }: Pick<DestinationConfig, 'circuit' | 'retry'>,
  failedProbes: number,
  random: number,
  failures: readonly Asking[],
): number {
  return probeDelayMs(circuit, failedProbes, random, askedToWaitMs(retry, failures));
}

/** Events sent while half-open, one phase after another. The first phase is the probe itself: three that were tried least, two again. */
export const phases: readonly number[] = [5, 10, 100];

/**
 * A circuit that closes although its probe met 5xx beside successes forgives 5xx for so long: long enough for a receiver that takes each
 * event at its third try (retries after 5 and 15 s by default), short enough that one which is sick after all costs three attempts.
 */
export const forgivenMs = 60_000;

/** After so many failed probes the one event that waits pays for a refusal itself: nobody else can show whose fault it is. */
export const probesBeforeCharge = 5;

export interface PhaseCounts {
  readonly acknowledged: number;
  /** Answered, and the answer is about the event. */
  readonly refused: number;
  /** Unreachable, 5xx, or what is the destination's fault. */
  readonly down: number;
  /** Of these, 5xx. Default 0. */
  readonly serverErrors?: number;
}

export function countPhase(acknowledged: number, failures: readonly FailureFacts[]): PhaseCounts {
  const isDown = (failure: FailureFacts): boolean => {
    // A receiver that counts what it lets through is well.
    if (acknowledged > 0 && failure.status === 429) return false;
    return (
      ailmentOf(failure) !== 'refused' || (acknowledged === 0 && isFaultOfDestination(failure.errorClass))
    );
  };
  const down = failures.filter(isDown).length;
  const serverErrors = failures.filter((failure) => ailmentOf(failure) === 'server-error').length;
  return { acknowledged, refused: failures.length - down, down, serverErrors };
}

/**
 * Whether a phase was good enough for the next one. For the probe one answer is: what fails beside it is then the event's own
 * fault. Later phases keep to the failure rate, of which 5xx are no part: since the probe went through (`wentThrough`), the destination is there,
 * and says it of those events. Were it sick after all, the circuit opens again at once, and charges nobody.
 */
export function phaseHolds(
  config: CircuitConfig,
  phase: number,
  counts: PhaseCounts,
  wentThrough = 0,
): boolean {
  const { acknowledged, refused, down, serverErrors = 0 } = counts;
  if (down === 0) return true;
  if (phase === 0) return acknowledged + refused > 0;
  const blamed = wentThrough + acknowledged > 0 ? down - serverErrors : down;
  if (blamed === 0) return true;
  return (
    blamed < down + refused + acknowledged && blamed < config.failureRate * (acknowledged + refused + down)
  );
}
