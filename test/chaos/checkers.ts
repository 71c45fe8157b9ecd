/** What must hold of every history, whatever was done to the processes. Pure: a history in, its violations out. */
import { all, type Entry, type IntendedEvent } from './history.ts';
import { countedRepeats, lostTime, stormOf, stormsOf } from './repeats.ts';

export interface Check {
  readonly name: string;
  /** Empty: it holds. */
  readonly violations: readonly string[];
  /** How many things were looked at: a check that saw nothing shows nothing. */
  readonly looked: number;
}

/** `run` opens up to ten; `relay` and `worker` too. */
const connectionsPerProcess = 10;
const rssMiBMax = 700;
/** Classes of failure in which a receiver looked at the event and said no: only those may be charged. */
const refused = /^http-(?!429|502|503|504)/;

export function checkAll(entries: readonly Entry[]): Check[] {
  return [
    nothingLost(entries),
    nothingUnexpected(entries),
    atomicCapture(entries),
    oneKeyEach(entries),
    repeatsBounded(entries),
    effectOnce(entries),
    orderPerKey(entries),
    commandsActOnce(entries),
    outagesChargeNobody(entries),
    progressAfterHealing(entries),
    bounded(entries),
    nobodyEndedByItself(entries),
    nothingLeft(entries),
  ];
}

/** Every event that is in the database was acknowledged by each of its destinations, or a person decided otherwise. */
export function nothingLost(entries: readonly Entry[]): Check {
  const known = intended(entries);
  const routes = all(entries, 'run')[0]?.routes ?? {};
  const acknowledged = new Set(
    all(entries, 'request')
      .filter(({ status }) => status < 300)
      .map(({ destination, event }) => `${destination} ${event}`),
  );
  const givenUp = new Map(
    all(entries, 'letters')
      .flatMap(({ letters }) => letters)
      .filter(({ resolution }) => resolution === 'discard' || resolution === 'redirect')
      .map((letter) => [`${letter.destination} ${letter.event}`, letter.redirectedTo]),
  );
  const violations: string[] = [];
  let looked = 0;
  for (const id of inDatabase(entries)) {
    for (const destination of routes[known.get(id)?.type ?? ''] ?? []) {
      looked++;
      if (acknowledged.has(`${destination} ${id}`)) continue;
      const instead = givenUp.get(`${destination} ${id}`);
      if (instead === null || (instead !== undefined && acknowledged.has(`${instead} ${id}`))) continue;
      violations.push(`${id} never reached ${instead ?? destination}`);
    }
  }
  return { name: 'nothing lost', violations, looked };
}

/**
 * Nothing arrives that was not committed, and nowhere but where a route or a person sent it. What a database that was set back has
 * forgotten may have arrived before.
 */
export function nothingUnexpected(entries: readonly Entry[]): Check {
  const known = intended(entries);
  const committed = inDatabase(entries);
  const forgotten = forgottenEvents(entries);
  const routes = all(entries, 'run')[0]?.routes ?? {};
  const lost = lostTime(entries);
  const redirected = new Set(
    all(entries, 'letters')
      .flatMap(({ letters }) => letters)
      .flatMap(({ event, redirectedTo }) => (redirectedTo === null ? [] : [`${redirectedTo} ${event}`])),
  );
  for (const { at, action, event } of all(entries, 'command'))
    if (action === 'redirect' && lost(at)) redirected.add(`spare ${event}`);
  const requests = all(entries, 'request');
  const violations = requests.flatMap(({ destination, event }) => {
    if (!committed.has(event) && !forgotten.has(event))
      return [`${event} reached ${destination} and is not in the database`];
    const expected = routes[known.get(event)?.type ?? '']?.includes(destination);
    return expected === true || redirected.has(`${destination} ${event}`)
      ? []
      : [`${event} reached ${destination}, where nobody sent it`];
  });
  return { name: 'nothing unexpected', violations, looked: requests.length };
}

/** The producer's own row and its events are there together, or not at all; what was answered is so. */
export function atomicCapture(entries: readonly Entry[]): Check {
  const events = inDatabase(entries);
  const facts = new Set(all(entries, 'rows').flatMap((rows) => rows.facts));
  const outcomes = new Map(all(entries, 'outcome').map(({ tx, outcome }) => [tx, outcome]));
  const intents = all(entries, 'intent');
  const lost = lostTime(entries);
  const violations = intents.flatMap(({ at, tx, events: own }) => {
    const there = own.filter(({ id }) => events.has(id)).length;
    const outcome = outcomes.get(tx) ?? 'unknown';
    if (there !== 0 && there !== own.length) return [`${tx}: ${there} of ${own.length} events are there`];
    if (there > 0 !== facts.has(tx)) return [`${tx}: its own row and its events differ`];
    if (outcome === 'committed' && there === 0 && !lost(at)) return [`${tx} was committed and is gone`];
    if (outcome === 'rolled-back' && there > 0) return [`${tx} was rolled back and is there`];
    return [];
  });
  return { name: 'atomic capture', violations, looked: intents.length };
}

/** One idempotency key for each event, destination and revision, over all attempts. */
export function oneKeyEach(entries: readonly Entry[]): Check {
  const requests = all(entries, 'request');
  const violations = requests.flatMap(({ destination, event, id, key }) => {
    if (id !== event && !new RegExp(`^${event}:r[0-9]+$`).test(id)) return [`${event} went out as ${id}`];
    return key === `${destination}/${id}` ? [] : [`${id} reached ${destination} under the key ${key}`];
  });
  return { name: 'one key each', violations, looked: requests.length };
}

/**
 * What was acknowledged comes again only where a fault broke in before the acknowledgement was written: in each storm no more than its
 * faults account for, in a calm nothing. A database that was set back sends again what it was set back behind: that is not counted.
 */
export function repeatsBounded(entries: readonly Entry[]): Check {
  const calmRepeats = all(entries, 'run')[0]?.patience.calmRepeats ?? 0;
  const repeats = countedRepeats(entries);
  const storms = stormsOf(entries);
  const violations: string[] = [];
  storms.forEach(({ allowed }, which) => {
    const own = repeats.filter(({ firstMs }) => stormOf(storms, firstMs) === which);
    const late = own.filter((repeat) => repeat.late).length;
    if (own.length > allowed.repeats)
      violations.push(`storm ${which}: ${own.length} came again, its faults account for ${allowed.repeats}`);
    if (late > allowed.late)
      violations.push(
        `storm ${which}: ${late} came again once settled, its faults account for ${allowed.late}`,
      );
  });
  const calm = repeats.filter(({ firstMs }) => stormOf(storms, firstMs) < 0);
  if (calm.length > calmRepeats)
    for (const { key, firstMs, lastMs } of calm)
      violations.push(`${key} was acknowledged in a calm, and came again ${lastMs - firstMs} ms later`);
  return { name: 'repeats bounded', violations, looked: storms.length };
}

/** Behind an inbox each payment is booked once, however often it arrived. */
export function effectOnce(entries: readonly Entry[]): Check {
  const known = intended(entries);
  const committed = inDatabase(entries);
  const booked = all(entries, 'effects').flatMap((effects) => effects.booked);
  const balance = all(entries, 'effects').reduce((sum, effects) => sum + effects.balance, 0);
  const violations: string[] = [];
  for (const [event, times] of countBy(booked)) {
    if (times > 1) violations.push(`${event} was booked ${times} times`);
    if (!committed.has(event)) violations.push(`${event} was booked and is not in the database`);
  }
  const there = new Set(booked);
  for (const id of committed)
    if (known.get(id)?.type === 'payment.created' && !there.has(id)) violations.push(`${id} was not booked`);
  if (balance !== booked.length) violations.push(`${booked.length} bookings came to ${balance}`);
  return { name: 'effect once', violations, looked: booked.length };
}

/** First receipts of one key come in the order in which their producer wrote them, at destinations that keep order. */
export function orderPerKey(entries: readonly Entry[]): Check {
  const known = intended(entries);
  const latest = new Map<string, number>();
  const seen = new Set<string>();
  const violations: string[] = [];
  for (const { destination, event } of all(entries, 'request')) {
    const written = known.get(event);
    if (destination !== 'ledger' || written === undefined || seen.has(event)) continue;
    seen.add(event);
    const before = latest.get(written.key) ?? -1;
    if (written.number < before)
      violations.push(`${written.key}: ${written.number} came first after ${before}`);
    latest.set(written.key, Math.max(before, written.number));
  }
  return { name: 'order per key', violations, looked: seen.size };
}

/** A command that was sent several times acted once; a dead letter was resolved by one command; what was resolved stays so. */
export function commandsActOnce(entries: readonly Entry[]): Check {
  const commands = all(entries, 'command');
  const letters = all(entries, 'letters').flatMap((entry) => entry.letters);
  const lines = all(entries, 'audit').flatMap((entry) => entry.lines);
  const violations: string[] = [];
  for (const { commandId } of commands) {
    const done = lines.filter((line) => line.commandId === commandId && line.outcome === 'done');
    if (done.length > 1) violations.push(`command ${commandId} acted ${done.length} times`);
  }
  const byRedrive = countBy(
    letters.flatMap(({ commandId }) => (commandId?.startsWith('redrive/') ? [commandId] : [])),
  );
  for (const { id, acted } of all(entries, 'redrives').flatMap((entry) => entry.redrives)) {
    const said = byRedrive.get(`redrive/${id}`) ?? 0;
    if (said !== acted) violations.push(`redrive ${id} let ${acted} letters go, and ${said} say so`);
  }
  // A redrive's start says how many it is about; what it did is counted above.
  const resolved = letters.filter(
    ({ resolution, commandId }) => resolution !== null && !commandId?.startsWith('redrive/'),
  ).length;
  const acted = lines
    .filter(({ outcome, action }) => outcome === 'done' && action !== 'start')
    .reduce((sum, { events }) => sum + events, 0);
  if (resolved !== acted)
    violations.push(`${resolved} dead letters are resolved, commands acted on ${acted}`);
  const edits = countBy(letters.filter(({ resolution }) => resolution === 'edit').map(({ event }) => event));
  const revisions = new Map<string, Set<string>>();
  const lost = lostTime(entries);
  const endings = new Map(
    letters
      .filter(({ resolution }) => resolution === 'discard' || resolution === 'redirect')
      .map((letter) => [`${letter.destination} ${letter.event}`, letter]),
  );
  for (const { event, id, at, destination } of all(entries, 'request')) {
    if (id !== event && !lost(at)) revisions.set(event, (revisions.get(event) ?? new Set()).add(id));
    const ended = endings.get(`${destination} ${event}`);
    // The database's clock is this machine's; a second for the way of a message.
    if (ended?.resolvedAt != null && at > ended.resolvedAt + 1_000)
      violations.push(`${event} reached ${destination} after its ${ended.resolution}`);
  }
  for (const [event, ids] of revisions)
    if (ids.size > (edits.get(event) ?? 0)) violations.push(`${event} has more revisions than edits`);
  return { name: 'commands act once', violations, looked: commands.length };
}

/** Being unreachable is charged to no event and parks none, and a receiver that was away for long had its circuit opened. */
export function outagesChargeNobody(entries: readonly Entry[]): Check {
  const failed = all(entries, 'attempts').flatMap((attempts) => attempts.failed);
  const violations = failed
    .filter(({ errorClass, charged }) => charged && !refused.test(errorClass))
    .map(({ destination, errorClass, count }) => `${destination}: ${errorClass} was charged ${count} times`);
  for (const { event, destination } of all(entries, 'letters').flatMap(({ letters }) => letters))
    if (destination !== 'picky')
      violations.push(`${event} was parked at ${destination}, which refuses nothing`);
  const opened = new Set(
    all(entries, 'audit')
      .flatMap(({ lines }) => lines)
      .flatMap(({ action, destination }) => (action === 'open' ? [destination] : [])),
  );
  const away = all(entries, 'fault').flatMap(({ fault }) => /^(\S+): away$/.exec(fault)?.[1] ?? []);
  for (const destination of away)
    if (!opened.has(destination)) violations.push(`${destination} was away, and its circuit never opened`);
  return { name: 'outages charge nobody', violations, looked: away.length === 0 ? 0 : failed.length };
}

/** After everything works again all that was written before is settled within the time given, and what is written then arrives. */
export function progressAfterHealing(entries: readonly Entry[]): Check {
  const healed = all(entries, 'healed');
  const [run] = all(entries, 'run');
  const expected = run?.routes['order.created'] ?? [];
  const probes = new Set(healed.map(({ probe }) => probe));
  const arrivals = new Map<string, number>();
  for (const { at, destination, event, status } of all(entries, 'request')) {
    const delivery = `${destination} ${event}`;
    if (status < 300 && probes.has(event) && !arrivals.has(delivery)) arrivals.set(delivery, at);
  }
  const violations = healed.flatMap(({ at, probe }) =>
    expected.flatMap((destination) => {
      const arrived = arrivals.get(`${destination} ${probe}`);
      if (arrived === undefined) return [`the probe ${probe} never reached ${destination}`];
      const ms = arrived - at;
      return ms <= (run?.patience.healMs ?? 0) ? [] : [`the probe ${probe} took ${ms} ms to ${destination}`];
    }),
  );
  const calms = all(entries, 'calm');
  calms.forEach(({ afterMs }, number) => {
    if (afterMs === null) violations.push(`healing ${number}: not all was delivered or parked in time`);
  });
  if (calms.length < healed.length) violations.push('a storm was not followed by a calm');
  return { name: 'progress after healing', violations, looked: healed.length };
}

/** Connections and memory of our processes stay within limits. Connections are counted while all is calm: cut ones linger. */
export function bounded(entries: readonly Entry[]): Check {
  const samples = all(entries, 'sample');
  const violations = samples.flatMap(({ calm, connections, rssMiB }) => {
    const most = Object.keys(rssMiB).length * connectionsPerProcess;
    return [
      ...(calm && connections > most ? [`${connections} connections, expected at most ${most}`] : []),
      ...Object.entries(rssMiB).flatMap(([process, rss]) =>
        rss > rssMiBMax ? [`${process}: ${rss} MiB`] : [],
      ),
    ];
  });
  return { name: 'bounded', violations, looked: samples.length };
}

export function nobodyEndedByItself(entries: readonly Entry[]): Check {
  const ended = all(entries, 'ended');
  const violations = ended.map(
    ({ process, code, signal }) => `${process} ended by itself: ${signal ?? code}`,
  );
  return { name: 'nobody ended by itself', violations, looked: all(entries, 'left')[0]?.processes ?? 0 };
}

export function nothingLeft(entries: readonly Entry[]): Check {
  const [left] = all(entries, 'left');
  if (left === undefined)
    return { name: 'nothing left', violations: ['the run never came to its end'], looked: 0 };
  const violations = Object.entries(left.deliveries).map(
    ([state, count]) => `${count} deliveries are still ${state}`,
  );
  return { name: 'nothing left', violations, looked: 1 };
}

function intended(entries: readonly Entry[]): Map<string, IntendedEvent> {
  return new Map(all(entries, 'intent').flatMap(({ events }) => events.map((event) => [event.id, event])));
}

function inDatabase(entries: readonly Entry[]): Set<string> {
  return new Set(all(entries, 'rows').flatMap(({ events }) => events));
}

/** Intended while the database was on a way that it was set back from, and not there any more. Never what was rolled back. */
function forgottenEvents(entries: readonly Entry[]): Set<string> {
  const lost = lostTime(entries);
  const there = inDatabase(entries);
  const rolledBack = new Set(
    all(entries, 'outcome').flatMap(({ tx, outcome }) => (outcome === 'rolled-back' ? [tx] : [])),
  );
  return new Set(
    all(entries, 'intent')
      .filter(({ at, tx }) => lost(at) && !rolledBack.has(tx))
      .flatMap(({ events }) => events.map(({ id }) => id).filter((id) => !there.has(id))),
  );
}

function countBy(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
