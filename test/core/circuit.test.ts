import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaults } from '../../src/settings/limits.ts';
import {
  ailmentOf,
  alikeMinimum,
  countPhase,
  isReturned,
  judge,
  phaseHolds,
  probeDelayMs,
  stopsEarly,
  Tally,
  untouched,
  type FailureFacts,
} from '../../src/core/circuit.ts';
import { LaneMemory } from '../../src/core/laneMemory.ts';
import type { CircuitConfig } from '../../src/core/destination.ts';

const config: CircuitConfig = defaults.circuit;

const unreachable: FailureFacts = { kind: 'unreachable', status: null, errorClass: 'connection-refused' };
const answered = (status: number, permanent = false): FailureFacts => ({
  kind: 'refused',
  permanent,
  status,
  errorClass: `http-${status}`,
});

/** What an attempt saw, in order; null is an acknowledgement. */
function tallyOf(outcomes: readonly (FailureFacts | null)[]): Tally {
  const tally = new Tally();
  for (const outcome of outcomes)
    if (outcome === null) tally.acknowledge();
    else tally.fail(outcome);
  return tally;
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

const anyFailure = fc.oneof(
  fc.constant(unreachable),
  fc.constant<FailureFacts>({ kind: 'unreachable', status: 503, errorClass: 'http-503' }),
  fc.constantFrom(500, 507).map((status) => answered(status)),
  fc.constantFrom(400, 401, 403, 404, 410, 422).map((status) => answered(status, true)),
  fc.constant(answered(409)),
);
const anyOutcome = fc.oneof(
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 3, arbitrary: anyFailure },
);
const anyAttempt = fc.array(anyOutcome, { maxLength: 200 });
const anyCircuit = fc.record({
  state: fc.constantFrom('closed' as const, 'open' as const, 'half-open' as const),
  paused: fc.boolean(),
  requests: fc.nat(1000),
  failures: fc.nat(1000),
  unreachableInARow: fc.nat(30),
  faultsInARow: fc.nat(30),
  signs: fc.nat(5),
  forgivenMs: fc.option(fc.nat(60_000)),
});
const anyConfig = fc.record({
  ...Object.fromEntries(Object.entries(config).map(([key, value]) => [key, fc.constant(value)])),
  enabled: fc.boolean(),
  failureRate: fc.double({ min: 0.01, max: 1, noNaN: true }),
  minimumRequests: fc.integer({ min: 1, max: 300 }),
  unreachableInARow: fc.integer({ min: 1, max: 300 }),
  probeAfterMs: fc.integer({ min: 100, max: 60_000 }),
  maximumProbeIntervalMs: fc.integer({ min: 60_000, max: 86_400_000 }),
}) as fc.Arbitrary<CircuitConfig>;

describe('an attempt is judged', () => {
  test.each([
    ['ten of ten answered 500', times(10, answered(500)), 'open'],
    ['nine answered 500: too few', times(9, answered(500)), 'record'],
    ['half of twenty', [...times(10, null), ...times(10, answered(500))], 'open'],
    ['less than half', [...times(11, null), ...times(9, answered(500))], 'record'],
    [
      'half as many, and twenty unreachable at the end',
      [...times(900, null), ...times(20, unreachable)],
      'open',
    ],
    ['twenty 422 and nothing else', times(20, answered(422, true)), 'pause'],
    ['nineteen of them', times(19, answered(422, true)), 'record'],
    [
      'twenty 422 among many that went well',
      [...times(10, null), ...times(20, answered(422, true))],
      'record',
    ],
    ['credentials that broke on the way', [...times(900, null), ...times(20, answered(401, true))], 'pause'],
    ['two classes of refusal', [...times(15, answered(422, true)), ...times(15, answered(409))], 'record'],
    ['one 410', [answered(410, true)], 'record'],
    ['a 410 among others that went well', [null, answered(410, true)], 'record'],
    ['four unreachable', times(4, unreachable), 'record'],
  ] as const)('%s', (_, outcomes, kind) => {
    expect(judge(config, tallyOf(outcomes), untouched).kind).toBe(kind);
  });

  test('a round of retries that fail again with 500 is no sample of the destination; the window, which counts others too, is', () => {
    const tally = new Tally();
    for (const failure of times(50, answered(500))) tally.fail(failure, { again: true });
    expect(stopsEarly(config, tally)).toBe(false);
    expect(judge(config, tally, { ...untouched, requests: 1_000, failures: 100 }).kind).toBe('record');
    expect(judge(config, tally, { ...untouched, requests: 60, failures: 50 }).kind).toBe('open');
    for (const failure of times(10, answered(500))) tally.fail(failure);
    expect(judge(config, tally, untouched).kind).toBe('open');
  });

  test('refusals that are all alike because they are retried together pause nothing; a broken credential does', () => {
    const crowd = (failure: FailureFacts): Tally => {
      const tally = new Tally();
      for (const each of times(50, failure)) tally.fail(each, { again: true });
      return tally;
    };
    expect(stopsEarly(config, crowd(answered(409)))).toBe(false);
    expect(judge(config, crowd(answered(409)), untouched).kind).toBe('record');
    expect(judge(config, crowd(answered(401)), untouched).kind).toBe('pause');
  });

  describe.each([301, 302, 303, 307, 308, 410])('a sign that the endpoint is gone, %i,', (status) => {
    const sign = answered(status, true);
    /** Events by number, sent one after another; a null went through. */
    const attempt = (events: readonly (number | null)[], memory = new LaneMemory()): Tally => {
      const tally = new Tally(memory);
      for (const [at, event] of events.entries())
        if (event === null) tally.acknowledge('', at);
        else tally.fail(sign, { eventId: `${event}`, sinceMs: at });
      return tally;
    };
    const judged = (tally: Tally, before = 0): string =>
      judge(config, tally, { ...untouched, signs: before + tally.signs.length }).kind;

    test('of one or two events says nothing; of three without a success between them it pauses', () => {
      expect(judged(attempt([1]))).toBe('record');
      expect(judged(attempt([1, 2]))).toBe('record');
      expect(judged(attempt([1, 2, 3]))).toBe('pause');
      expect(judged(attempt([3]), 2)).toBe('pause');
    });

    test('is of its event where another went through since that was sent', () => {
      const tally = attempt([1, 2, 3, null]);
      expect(judged(tally)).toBe('record');
      expect([1, 2, 3].map((event) => tally.isProven(`${event}`))).toEqual([true, true, true]);
    });

    test('counts as ever after what went through before', () => {
      const tally = attempt([null, null, 1, 2, 3]);
      expect(judged(tally)).toBe('pause');
      expect(tally.isProven('1')).toBe(false);
    });

    test('needs twenty events in a row where it is known that it is said of single messages', () => {
      const memory = new LaneMemory();
      judged(attempt([1, null], memory));
      expect(judged(attempt([2, 3, 4, 5], memory))).toBe('record');
      expect(judged(attempt([null, ...times(20, 0).map((_, number) => number)], memory))).toBe('pause');
    });
  });

  test('5xx of an event type are set aside where events of other types go through meanwhile, and only there', () => {
    const attempt = (types: readonly string[], sick: readonly string[], memory = new LaneMemory()): Tally => {
      const tally = new Tally(memory);
      for (const type of types)
        if (sick.includes(type)) tally.fail(answered(500), { type });
        else tally.acknowledge(type);
      return tally;
    };
    const mixed = Array.from({ length: 100 }, (_, at) => (at % 4 === 0 ? 'well' : 'sick'));
    expect(judge(config, attempt(mixed, ['sick']), untouched).kind).toBe('record');
    expect(judge(config, attempt(mixed, ['sick', 'well']), untouched).kind).toBe('open');
    const memory = new LaneMemory();
    attempt(mixed, ['sick'], memory);
    const crowd = times(100, 'sick');
    expect(judge(config, attempt(crowd, ['sick'], memory), untouched).kind).toBe('record');
    expect(stopsEarly(config, attempt(crowd, ['sick'], memory))).toBe(false);
    expect(judge(config, attempt(crowd, ['sick']), untouched).kind).toBe('open');
    // What is not answered at all is nobody's own.
    const down = new Tally(memory);
    for (const type of crowd) down.fail(unreachable, { type });
    expect(judge(config, down, untouched).kind).toBe('open');
  });

  test('after a probe that met 5xx beside successes, only being unreachable opens it for a minute', () => {
    const forgiving = { ...untouched, forgivenMs: 1_000, requests: 1_000, failures: 1_000 };
    expect(judge(config, tallyOf(times(50, answered(500))), forgiving).kind).toBe('record');
    expect(stopsEarly(config, tallyOf(times(50, answered(500))), 1_000)).toBe(false);
    expect(judge(config, tallyOf(times(20, unreachable)), forgiving).kind).toBe('open');
  });

  test('five unreachable in a row open it, however many attempts they took', () => {
    const tally = tallyOf([unreachable]);
    expect(judge(config, tally, { ...untouched, unreachableInARow: 4 }).kind).toBe('record');
    expect(judge(config, tally, { ...untouched, unreachableInARow: 5 }).kind).toBe('open');
  });

  test('an attempt without a failure says nothing, whatever was counted before', () =>
    fc.assert(
      fc.property(anyConfig, fc.nat(500), anyCircuit, (any, count, circuit) => {
        const verdict = judge(any, tallyOf(times(count, null)), circuit).kind;
        expect(['record', 'return']).toContain(verdict);
      }),
    ));

  test('of a destination that somebody holds, everything goes back', () =>
    fc.assert(
      fc.property(anyConfig, anyAttempt, anyCircuit, (any, outcomes, circuit) => {
        const held = circuit.paused || circuit.state !== 'closed';
        expect(judge(any, tallyOf(outcomes), circuit).kind === 'return').toBe(held);
      }),
    ));

  test('disabled, it never opens and never pauses', () =>
    fc.assert(
      fc.property(anyConfig, anyAttempt, anyCircuit, (any, outcomes, circuit) => {
        const { kind } = judge({ ...any, enabled: false }, tallyOf(outcomes), circuit);
        expect(['record', 'return']).toContain(kind);
      }),
    ));

  test('refusals alone never open it, and unreachable ones alone never pause it', () =>
    fc.assert(
      fc.property(anyConfig, fc.array(anyFailure, { maxLength: 100 }), (any, failures) => {
        const refusals = failures.filter((each) => ailmentOf(each) === 'refused');
        const sick = failures.filter((each) => ailmentOf(each) !== 'refused');
        expect(judge(any, tallyOf(refusals), untouched).kind).not.toBe('open');
        expect(judge(any, tallyOf(sick), untouched).kind).not.toBe('pause');
      }),
    ));

  test('one more of the same failures never makes an open circuit stay closed', () =>
    fc.assert(
      fc.property(anyConfig, anyAttempt, (any, outcomes) => {
        fc.pre(judge(any, tallyOf(outcomes), untouched).kind === 'open');
        const last = outcomes.at(-1);
        const more = last == null || ailmentOf(last) === 'refused' ? unreachable : last;
        expect(judge(any, tallyOf([...outcomes, more]), untouched).kind).toBe('open');
      }),
    ));
});

test('an attempt stops early only on twenty alike, and only where its verdict would be no other at the end', () =>
  fc.assert(
    fc.property(anyConfig, anyAttempt, (any, outcomes) => {
      const tally = tallyOf(outcomes);
      if (!stopsEarly(any, tally)) return;
      expect(tally.streak).toBeGreaterThanOrEqual(alikeMinimum);
      expect(judge(any, tally, untouched).kind).toMatch(/open|pause/);
    }),
  ));

test('an outage in full stops early after twenty', () => {
  expect(stopsEarly(config, tallyOf(times(19, unreachable)))).toBe(false);
  expect(stopsEarly(config, tallyOf(times(20, unreachable)))).toBe(true);
  expect(stopsEarly(config, tallyOf(times(20, answered(401, true))))).toBe(true);
});

test('with an outage, what was answered about the event itself stays charged; with a pause, nothing is', () => {
  const open = { kind: 'open', reason: '' } as const;
  expect(isReturned(open, untouched, unreachable)).toBe(true);
  expect(isReturned(open, untouched, answered(500))).toBe(true);
  expect(isReturned(open, untouched, answered(401, true))).toBe(true);
  expect(isReturned(open, untouched, answered(422, true))).toBe(false);
  expect(isReturned({ kind: 'pause', reason: '' }, untouched, answered(422, true))).toBe(true);
  expect(isReturned({ kind: 'return' }, { ...untouched, paused: true }, answered(422, true))).toBe(true);
  expect(isReturned({ kind: 'record' }, untouched, unreachable)).toBe(false);
});

describe('probes', () => {
  test('wait twice as long each time, within the band of their jitter, and never too long', () =>
    fc.assert(
      fc.property(
        anyConfig,
        fc.nat(2000),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (any, failed, random) => {
          const plain = Math.min(any.probeAfterMs * 2 ** Math.min(failed, 40), any.maximumProbeIntervalMs);
          const delay = probeDelayMs(any, failed, random, 0);
          expect(delay).toBeGreaterThanOrEqual(Math.floor(plain * 0.8));
          expect(delay).toBeLessThanOrEqual(Math.ceil(plain * 1.2));
        },
      ),
    ));

  test('never come sooner than the receiver asked for', () =>
    fc.assert(
      fc.property(anyConfig, fc.nat(50), fc.nat(10_000_000), (any, failed, askedMs) => {
        expect(probeDelayMs(any, failed, 0, askedMs)).toBeGreaterThanOrEqual(askedMs);
      }),
    ));

  test('one answer is enough for the first phase: what fails beside it is the event’s own fault', () => {
    expect(phaseHolds(config, 0, countPhase(1, [unreachable, answered(500)]))).toBe(true);
    expect(phaseHolds(config, 0, countPhase(0, [answered(422, true), unreachable]))).toBe(true);
    expect(phaseHolds(config, 0, countPhase(0, [unreachable, answered(500)]))).toBe(false);
  });

  test('later phases keep to the failure rate', () => {
    expect(phaseHolds(config, 1, countPhase(6, times(4, unreachable)))).toBe(true);
    expect(phaseHolds(config, 1, countPhase(5, times(5, unreachable)))).toBe(false);
  });

  test('in later phases 5xx are the events’ own once the probe went through', () => {
    const sick = countPhase(0, times(10, answered(500)));
    expect(phaseHolds(config, 1, sick, 1)).toBe(true);
    expect(phaseHolds(config, 1, sick, 0)).toBe(false);
    expect(
      phaseHolds(config, 1, countPhase(0, [...times(5, answered(500)), ...times(5, unreachable)]), 1),
    ).toBe(false);
  });

  test('a credential that is refused does not count as an answer, until one event goes through', () => {
    expect(phaseHolds(config, 0, countPhase(0, [answered(401, true)]))).toBe(false);
    expect(phaseHolds(config, 0, countPhase(1, [answered(401, true)]))).toBe(true);
  });

  test('a phase in which nothing was answered never holds', () =>
    fc.assert(
      fc.property(anyConfig, fc.nat(2), fc.integer({ min: 1, max: 100 }), (any, phase, count) => {
        expect(phaseHolds(any, phase, countPhase(0, times(count, unreachable)))).toBe(false);
      }),
    ));
});
