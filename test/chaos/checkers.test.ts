/** A check that cannot fail shows nothing: each is given a history that was doctored in one place. */
import { expect, test } from 'vitest';
import { checkAll } from './checkers.ts';
import type { Entry, News } from './history.ts';
import { seeded } from './random.ts';

const order = (id: string, number: number) => ({ id, type: 'order.created', key: 'k', number });
const odd = (id: string) => ({ id, type: 'odd.created', key: 'odd', number: 0 });
const payment = (id: string) => ({ id, type: 'payment.created', key: 'paid', number: 0 });

/**
 * A good run: two orders in one transaction, one rolled back, one of unknown outcome that is there, three dead letters, a payment that came
 * twice and was booked once. The letter beside an entry is what the tests take away or bend.
 */
const good: readonly News[] = [
  {
    what: 'run',
    seed: 1,
    patience: { healMs: 60_000, calmRepeats: 0 },
    routes: {
      'order.created': ['billing', 'ledger'],
      'odd.created': ['picky'],
      'payment.created': ['bank'],
    },
  },
  { what: 'intent', tx: 't1', events: [order('a', 1), order('b', 2)] },
  { what: 'outcome', tx: 't1', outcome: 'committed' },
  { what: 'intent', tx: 't2', events: [order('gone', 3)] },
  { what: 'outcome', tx: 't2', outcome: 'rolled-back' },
  { what: 'intent', tx: 't3', events: [odd('x'), odd('y'), odd('z')] },
  { what: 'outcome', tx: 't3', outcome: 'unknown' },
  { what: 'intent', tx: 't4', events: [payment('m')] },
  { what: 'outcome', tx: 't4', outcome: 'committed' },
  { what: 'storm' },
  { what: 'fault', fault: 'billing: away', forMs: 1_000, repeats: 2, late: 0 },
  request('bank', 'm'),
  request('bank', 'm', { attempt: 2 }),
  request('billing', 'a'),
  request('billing', 'a', { attempt: 2 }),
  request('billing', 'b'),
  request('ledger', 'a', { status: 503 }),
  request('ledger', 'a', { attempt: 2 }),
  request('ledger', 'b'),
  request('picky', 'x', { status: 422 }),
  request('picky', 'y', { status: 422 }),
  request('picky', 'z', { status: 422 }),
  { what: 'command', commandId: 'c1', letter: 1, event: 'x', action: 'edit', times: 2 },
  { what: 'command', commandId: 'c2', letter: 2, event: 'y', action: 'redirect', times: 2 },
  { what: 'command', commandId: 'c3', letter: 3, event: 'z', action: 'discard', times: 3 },
  request('picky', 'x', { id: 'x:r2', key: 'picky/x:r2', attempt: 2 }),
  request('spare', 'y'),
  { what: 'intent', tx: 'p', events: [order('p', 0)].map((event) => ({ ...event, key: 'probe' })) },
  { what: 'outcome', tx: 'p', outcome: 'committed' },
  { what: 'healed', probe: 'p' },
  { what: 'intent', tx: 't5', events: [order('later', 4)] },
  { what: 'outcome', tx: 't5', outcome: 'committed' },
  request('billing', 'p'),
  request('ledger', 'p'),
  { what: 'calm', afterMs: 2_000 },
  request('billing', 'later'),
  request('ledger', 'later'),
  { what: 'sample', calm: true, connections: 12, rssMiB: { run: 150, relay: 90 } },
  {
    what: 'rows',
    events: ['a', 'b', 'x', 'y', 'z', 'm', 'p', 'later'],
    facts: ['t1', 't3', 't4', 't5', 'p'],
  },
  {
    what: 'letters',
    letters: [
      letter(1, 'x', 'edit'),
      { ...letter(2, 'y', 'redirect'), redirectedTo: 'spare' },
      letter(3, 'z', 'discard'),
    ],
  },
  {
    what: 'audit',
    lines: [
      line('c1', 'edit'),
      line('c2', 'redirect'),
      line('c3', 'discard'),
      { ...line('c4', 'discard'), outcome: 'refused', events: 0 },
      { ...line(null, 'open'), destination: 'billing', events: 0 },
    ],
  },
  {
    what: 'attempts',
    failed: [
      { destination: 'billing', errorClass: 'connection-refused', charged: false, count: 9 },
      { destination: 'billing', errorClass: 'http-503', charged: false, count: 3 },
      { destination: 'picky', errorClass: 'http-422', charged: true, count: 3 },
    ],
  },
  { what: 'effects', booked: ['m'], balance: 1 },
  { what: 'delivered', times: { 'bank/m': 30_000 } },
  { what: 'left', deliveries: {}, processes: 4 },
];

type Request = Extract<News, { what: 'request' }>;

function request(destination: string, event: string, other: Partial<Request> = {}): Request {
  return {
    what: 'request',
    destination,
    event,
    id: event,
    key: `${destination}/${event}`,
    attempt: 1,
    status: 204,
    ...other,
  };
}

function letter(id: number, event: string, resolution: string) {
  return {
    id,
    event,
    destination: 'picky',
    resolution,
    resolvedAt: 30_000,
    redirectedTo: null,
    commandId: null,
  };
}

function line(commandId: string | null, action: string) {
  return { commandId, action, destination: 'picky', outcome: 'done', events: 1 };
}

/** A second between entries. */
function timed(news: readonly News[]): Entry[] {
  return news.map((each, index) => ({ at: index * 1_000, ...each }));
}

function violated(news: readonly News[]): string[] {
  return checkAll(timed(news)).flatMap(({ name, violations }) => (violations.length === 0 ? [] : [name]));
}

const without = (drop: (news: News) => boolean): News[] => good.filter((news) => !drop(news));
const changed = <T extends News>(what: T['what'], change: (news: T) => News): News[] =>
  good.map((news) => (news.what === what ? change(news as T) : news));
const isRequest = (destination: string, event: string) => (news: News) =>
  news.what === 'request' && news.destination === destination && news.event === event;

test('a good history violates nothing, and every check has looked at something', () => {
  const checks = checkAll(timed(good));
  expect(checks.flatMap(({ name, violations }) => violations.map((each) => `${name}: ${each}`))).toEqual([]);
  for (const { name, looked } of checks) expect(looked, name).toBeGreaterThan(0);
});

test.each<readonly [what: string, check: string, history: () => readonly News[]]>([
  ['an event that one destination never got', 'nothing lost', () => without(isRequest('ledger', 'b'))],
  [
    'an event that was only ever refused',
    'nothing lost',
    () =>
      good.map((news) => (isRequest('billing', 'b')(news) ? request('billing', 'b', { status: 500 }) : news)),
  ],
  ['a redirected event that did not arrive there', 'nothing lost', () => without(isRequest('spare', 'y'))],
  [
    'an event of unknown outcome that is there and was not sent',
    'nothing lost',
    () => without((news) => news.what === 'request' && news.event === 'x'),
  ],
  [
    'an event that was rolled back and arrived',
    'nothing unexpected',
    () => [...good, request('billing', 'gone')],
  ],
  ['an event nobody wrote', 'nothing unexpected', () => [...good, request('billing', 'q')]],
  ['an event that went where no route leads', 'nothing unexpected', () => [...good, request('spare', 'a')]],
  [
    'a rolled-back transaction that is there',
    'atomic capture',
    () =>
      changed<Extract<News, { what: 'rows' }>>('rows', (rows) => ({
        ...rows,
        events: [...rows.events, 'gone'],
        facts: [...rows.facts, 't2'],
      })),
  ],
  [
    'half a transaction',
    'atomic capture',
    () =>
      changed<Extract<News, { what: 'rows' }>>('rows', (rows) => ({
        ...rows,
        events: rows.events.filter((id) => id !== 'b'),
      })),
  ],
  [
    'events without the producer’s own row',
    'atomic capture',
    () =>
      changed<Extract<News, { what: 'rows' }>>('rows', (rows) => ({
        ...rows,
        facts: rows.facts.filter((tx) => tx !== 't1'),
      })),
  ],
  [
    'a committed transaction that is gone',
    'atomic capture',
    () =>
      changed<Extract<News, { what: 'rows' }>>('rows', (rows) => ({
        ...rows,
        events: rows.events.filter((id) => id !== 'a' && id !== 'b'),
        facts: rows.facts.filter((tx) => tx !== 't1'),
      })),
  ],
  [
    'a second key for the same event',
    'one key each',
    () => [...good, request('billing', 'a', { key: 'billing/a-again' })],
  ],
  [
    'more repeats than the faults of a storm account for',
    'repeats bounded',
    () => changed<Extract<News, { what: 'fault' }>>('fault', (fault) => ({ ...fault, repeats: 1 })),
  ],
  [
    'a repeat after the acknowledgement was written',
    'repeats bounded',
    () =>
      changed<Extract<News, { what: 'delivered' }>>('delivered', () => ({
        what: 'delivered',
        times: { 'bank/m': 0 },
      })),
  ],
  [
    'a repeat of what was acknowledged in a calm',
    'repeats bounded',
    () => [...good, request('billing', 'later', { attempt: 2 })],
  ],
  [
    'a payment that was booked twice',
    'effect once',
    () =>
      changed<Extract<News, { what: 'effects' }>>('effects', () => ({
        what: 'effects',
        booked: ['m', 'm'],
        balance: 2,
      })),
  ],
  [
    'a payment that was acknowledged and not booked',
    'effect once',
    () =>
      changed<Extract<News, { what: 'effects' }>>('effects', () => ({
        what: 'effects',
        booked: [],
        balance: 0,
      })),
  ],
  [
    'a booking that is not in the balance',
    'effect once',
    () => changed<Extract<News, { what: 'effects' }>>('effects', (effects) => ({ ...effects, balance: 0 })),
  ],
  [
    'an outage that was charged',
    'outages charge nobody',
    () =>
      changed<Extract<News, { what: 'attempts' }>>('attempts', ({ failed, ...attempts }) => ({
        ...attempts,
        failed: failed.map((each) => ({ ...each, charged: true })),
      })),
  ],
  [
    'an event parked where nothing is refused',
    'outages charge nobody',
    () =>
      changed<Extract<News, { what: 'letters' }>>('letters', (entry) => ({
        ...entry,
        letters: [...entry.letters, { ...letter(4, 'a', 'retry'), destination: 'billing' }],
      })),
  ],
  [
    'a circuit that stayed closed',
    'outages charge nobody',
    () =>
      changed<Extract<News, { what: 'audit' }>>('audit', (audit) => ({
        ...audit,
        lines: audit.lines.filter(({ action }) => action !== 'open'),
      })),
  ],
  ['a later event of a key that came first', 'order per key', () => [...good].reverse()],
  [
    'a command that acted twice',
    'commands act once',
    () =>
      changed<Extract<News, { what: 'audit' }>>('audit', (audit) => ({
        ...audit,
        lines: [...audit.lines, line('c1', 'edit')],
      })),
  ],
  [
    'a dead letter resolved by nobody',
    'commands act once',
    () =>
      changed<Extract<News, { what: 'audit' }>>('audit', (audit) => ({
        ...audit,
        lines: audit.lines.slice(1),
      })),
  ],
  [
    'a redrive that let more go than it says',
    'commands act once',
    () => [...good, { what: 'redrives', redrives: [{ id: 1, state: 'done', total: 2, acted: 1 }] }],
  ],
  [
    'an edit that made two revisions',
    'commands act once',
    () => [...good, request('picky', 'x', { id: 'x:r3', key: 'picky/x:r3' })],
  ],
  ['an event sent after it was discarded', 'commands act once', () => [...good, request('picky', 'z')]],
  [
    'an event sent to its old destination after it was redirected',
    'commands act once',
    () => [...good, request('picky', 'y', { attempt: 2 })],
  ],
  [
    'what was not settled in time',
    'progress after healing',
    () => changed<Extract<News, { what: 'calm' }>>('calm', () => ({ what: 'calm', afterMs: null })),
  ],
  ['a probe that never arrived', 'progress after healing', () => without(isRequest('billing', 'p'))],
  [
    'too many connections',
    'bounded',
    () => [...good, { what: 'sample', calm: true, connections: 21, rssMiB: { run: 150, relay: 90 } }],
  ],
  [
    'a process that grew',
    'bounded',
    () => [...good, { what: 'sample', calm: false, connections: 1, rssMiB: { run: 5_000 } }],
  ],
  [
    'a process that ended by itself',
    'nobody ended by itself',
    () => [...good, { what: 'ended', process: 'run', code: 1, signal: null }],
  ],
  [
    'deliveries that are left',
    'nothing left',
    () =>
      changed<Extract<News, { what: 'left' }>>('left', (left) => ({ ...left, deliveries: { claimed: 3 } })),
  ],
  ['a run that broke off', 'nothing left', () => without((news) => news.what === 'left')],
])('%s is noticed: %s', (_what, check, history) => {
  expect(violated(history())).toContain(check);
});

test('a probe that took more than a minute is noticed', () => {
  const late = timed(good).map((entry) =>
    isRequest('billing', 'p')(entry) || isRequest('ledger', 'p')(entry)
      ? { ...entry, at: entry.at + 61_000 }
      : entry,
  );
  const names = checkAll(late).filter(({ violations }) => violations.length > 0);
  expect(names.map(({ name }) => name)).toEqual(['progress after healing']);
});

/** A copy was taken after the first entry, and put back at the end: all that came between is gone. */
function setBack(lost: readonly News[]): News[] {
  const [run, ...rest] = good;
  return [run as News, { what: 'copied' }, ...lost, { what: 'restored' }, ...rest];
}
const lostOrder: readonly News[] = [
  { what: 'intent', tx: 'lost', events: [order('l', -1)] },
  { what: 'outcome', tx: 'lost', outcome: 'committed' },
  request('billing', 'l'),
  // Comes again in the calm at the end.
  request('billing', 'later'),
];

test('what was written after a copy that was put back is nobody’s fault', () => {
  expect(violated(setBack(lostOrder))).toEqual([]);
});

test.each<readonly [what: string, check: string, history: () => readonly News[]]>([
  ['a loss without a copy', 'atomic capture', () => [...good, ...lostOrder]],
  [
    'what was rolled back and arrived before the database was set back',
    'nothing unexpected',
    () =>
      setBack(
        lostOrder.map((news) =>
          news.what === 'outcome' ? { ...news, outcome: 'rolled-back' as const } : news,
        ),
      ),
  ],
  ['a loss after it was set back', 'atomic capture', () => [...setBack([]), ...lostOrder]],
])('a database set back excuses no more than it must, %s: %s', (_what, check, history) => {
  expect(violated(history())).toContain(check);
});

test('connections that linger while wires are cut are nobody’s fault', () => {
  expect(violated([...good, { what: 'sample', calm: false, connections: 99, rssMiB: { run: 90 } }])).toEqual(
    [],
  );
});

test('the same seed makes the same choices, streams apart do not disturb each other', () => {
  const draw = (seed: number): number[] => {
    const random = seeded(seed).fork('a');
    return Array.from({ length: 20 }, () => random.between(0, 1_000));
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  expect(seeded(1).fork('a').next()).not.toBe(seeded(1).fork('b').next());
  const counts = [0, 0];
  const random = seeded(5);
  for (let time = 0; time < 4_000; time++)
    counts[
      random.weighted([
        [3, 0],
        [1, 1],
      ] as const)
    ]! += 1;
  expect(counts[0]! / counts[1]!).toBeGreaterThan(2.5);
  expect(counts[0]! / counts[1]!).toBeLessThan(3.5);
});
