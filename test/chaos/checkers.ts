/** What must hold of every history, whatever was done to the processes. Pure: a history in, its violations out. */
import { all, type Entry, type IntendedEvent } from './history.ts';

export interface Check {
  readonly name: string;
  /** Empty: it holds. */
  readonly violations: readonly string[];
  /** How many things were looked at: a check that saw nothing shows nothing. */
  readonly looked: number;
}

const progressMs = 60_000;
/** `run` opens up to ten; `relay` and `worker` too. */
const connectionsPerProcess = 10;
const rssMiBMax = 700;

export function checkAll(entries: readonly Entry[]): Check[] {
  return [
    nothingLost(entries),
    nothingUnexpected(entries),
    atomicCapture(entries),
    oneKeyEach(entries),
    orderPerKey(entries),
    commandsActOnce(entries),
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

/** Nothing arrives that was not committed, and nowhere but where a route or a person sent it. */
export function nothingUnexpected(entries: readonly Entry[]): Check {
  const known = intended(entries);
  const committed = inDatabase(entries);
  const routes = all(entries, 'run')[0]?.routes ?? {};
  const redirected = new Set(
    all(entries, 'letters')
      .flatMap(({ letters }) => letters)
      .flatMap(({ event, redirectedTo }) => (redirectedTo === null ? [] : [`${redirectedTo} ${event}`])),
  );
  const requests = all(entries, 'request');
  const violations = requests.flatMap(({ destination, event }) => {
    if (!committed.has(event)) return [`${event} reached ${destination} and is not in the database`];
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
  const violations = intents.flatMap(({ tx, events: own }) => {
    const there = own.filter(({ id }) => events.has(id)).length;
    const outcome = outcomes.get(tx) ?? 'unknown';
    if (there !== 0 && there !== own.length) return [`${tx}: ${there} of ${own.length} events are there`];
    if (there > 0 !== facts.has(tx)) return [`${tx}: its own row and its events differ`];
    if (outcome === 'committed' && there === 0) return [`${tx} was committed and is gone`];
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

/** First receipts of one key come in the order in which their producer wrote them, at destinations that keep order. */
export function orderPerKey(entries: readonly Entry[]): Check {
  const name = 'order per key';
  if (all(entries, 'run')[0]?.ordered !== true) return { name, violations: [], looked: 0 };
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
  return { name, violations, looked: seen.size };
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
  const resolved = letters.filter(({ resolution }) => resolution !== null).length;
  const acted = lines
    .filter(({ outcome }) => outcome === 'done')
    .reduce((sum, { events }) => sum + events, 0);
  if (resolved !== acted)
    violations.push(`${resolved} dead letters are resolved, commands acted on ${acted}`);
  const edits = countBy(letters.filter(({ resolution }) => resolution === 'edit').map(({ event }) => event));
  const revisions = new Map<string, Set<string>>();
  for (const { event, id, at, destination } of all(entries, 'request')) {
    if (id !== event) revisions.set(event, (revisions.get(event) ?? new Set()).add(id));
    const ended = letters.find(
      (letter) =>
        letter.event === event &&
        letter.destination === destination &&
        (letter.resolution === 'discard' || letter.resolution === 'redirect'),
    );
    // The database's clock is this machine's; a second for the way of a message.
    if (ended?.resolvedAt != null && at > ended.resolvedAt + 1_000)
      violations.push(`${event} reached ${destination} after its ${ended.resolution}`);
  }
  for (const [event, ids] of revisions)
    if (ids.size > (edits.get(event) ?? 0)) violations.push(`${event} has more revisions than edits`);
  return { name: 'commands act once', violations, looked: commands.length };
}

/** After everything works again, what is written then arrives within a minute, wherever it is routed. */
export function progressAfterHealing(entries: readonly Entry[]): Check {
  const requests = all(entries, 'request').filter(({ status }) => status < 300);
  const healed = all(entries, 'healed');
  const expected = all(entries, 'run')[0]?.routes['order.created'] ?? [];
  const violations = healed.flatMap(({ at, probe }) =>
    expected.flatMap((destination) => {
      const arrived = requests.find((each) => each.event === probe && each.destination === destination);
      if (arrived === undefined) return [`the probe ${probe} never reached ${destination}`];
      const ms = arrived.at - at;
      return ms <= progressMs ? [] : [`the probe ${probe} took ${ms} ms to ${destination}`];
    }),
  );
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

function countBy(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
