import { passOverdueMs } from '../../core/watch.ts';
import { readSettings } from '../../storage/configuration.ts';
import type { Pool } from '../../storage/connect.ts';
import { countMessages, type MessageCounts } from '../../storage/messages.ts';
import {
  countDeliveries,
  countUnrouted,
  readBlockedKeys,
  readLanes,
  readRelays,
  readUnwritten,
  type BlockedKey,
  type DestinationCounts,
  type LaneStanding,
} from '../../storage/status.ts';
import { isNobodys, readLacking } from '../../storage/lacking.ts';
import { readPausedWorkflows, type PausedWorkflow } from '../../storage/paused.ts';
import { findMissedEvents, type MissedEvents } from '../../storage/missedEvents.ts';
import { readLatestPass } from '../../storage/housekeeping.ts';
import { readDatabaseStanding, readLaneStandings } from '../../storage/standing.ts';
import { withDatabase } from '../database.ts';
import { refuseUsage } from '../failure.ts';
import { lackingInWords } from '../lackingText.ts';
import type { Colours, Output } from '../output.ts';
import { describeAge } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { facts, table } from '../table.ts';
import { counted } from '../../core/counted.ts';

const blockedKeysShown = 20;
const pausedShown = 20;
const lookForMissedMs = 1_000;

/** `lagMs`: how long the oldest due delivery has waited, pending or in its first attempt; 0 when none does. */
type DestinationStatus = DestinationCounts & Omit<LaneStanding, 'destination'> & { readonly lagMs: number };

type Status = Awaited<ReturnType<typeof readStatus>>;

export interface StatusOptions {
  readonly check?: boolean;
  /** Milliseconds. */
  readonly maxLag?: number;
  readonly maxParked?: number;
  readonly maxRetrying?: number;
  readonly maxUnrouted?: number;
  /** Milliseconds. */
  readonly maxHousekeepingAge?: number;
}

/** `status`, `status --check`. Answers the exit code. */
export async function status(out: Output, options: StatusOptions): Promise<0 | 1> {
  const { maxParked, maxRetrying, maxUnrouted } = options;
  const ages = { maxLagMs: options.maxLag, maxHousekeepingAgeMs: options.maxHousekeepingAge };
  const limits = Object.entries({ maxParked, maxRetrying, maxUnrouted, ...ages }).filter(
    ([, limit]) => limit !== undefined,
  );
  if (options.check === true)
    return (await import('./statusCheck.ts')).checkStatus(out, Object.fromEntries(limits));
  if (limits.length > 0) refuseUsage('--max-lag, --max-parked and the like set limits for --check; add it');
  const found = await withDatabase(readStatus);
  out.result(found, (colours) => statusText(found, colours));
  return 0;
}

async function readStatus(pool: Pool) {
  const [
    settings,
    counts,
    lanes,
    relays,
    unrouted,
    standings,
    blockedKeys,
    halfMessages,
    pass,
    database,
    unwritten,
    lacking,
    paused,
    missed,
  ] = await Promise.all([
    readSettings(pool),
    countDeliveries(pool),
    readLanes(pool),
    readRelays(pool),
    countUnrouted(pool),
    readLaneStandings(pool),
    readBlockedKeys(pool, blockedKeysShown),
    countMessages(pool),
    readLatestPass(pool),
    readDatabaseStanding(pool),
    readUnwritten(pool),
    readLacking(pool),
    readPausedWorkflows(pool, pausedShown),
    findMissedEvents(pool, lookForMissedMs),
  ]);
  const lags = new Map(standings.map(({ destination, lagSeconds }) => [destination, lagSeconds * 1000]));
  const byName = new Map(lanes.map(({ destination, ...lane }) => [destination, lane]));
  const none: Omit<LaneStanding, 'destination'> = {
    ...{ oldestPendingMs: null, relay: null, paused: false, pausedReason: null },
    ...{ circuit: 'closed' as const, circuitReason: null, since: null, nextProbeAt: null, waitUntil: null },
  };
  const destinations: DestinationStatus[] = counts.map((count) => ({
    ...count,
    ...(byName.get(count.destination) ?? none),
    lagMs: Math.round(lags.get(count.destination) ?? 0),
  }));
  return {
    name: settings.name,
    configRevision: settings.configRevision,
    temporalNamespaceId: settings.temporalNamespaceId,
    destinations,
    unrouted,
    /** Written past the trigger; `since`: looked at from then on, null when nothing can be known. */
    missed,
    blockedKeys,
    halfMessages,
    /** Workflows that a person paused in the Temporal UI, as far as a relay has come by; the first 20. */
    pausedWorkflows: paused,
    /** `ageMs`: since a pass came to its end, or (not `passed`) the schema was made; `step`: what one under way does, else null. */
    housekeeping: {
      ageMs: Math.round(database.housekeepingAgeSeconds * 1000),
      passed: pass.report !== null,
      step: pass.step,
    },
    relays,
    /** What workers were answered and PostgreSQL does not take. */
    unwritten,
    /** What workers have not got to send, or to ask back, by the latest configuration. */
    lacking,
  };
}

function statusText(found: Status, colours: Colours): string {
  const { destinations, relays, unrouted } = found;
  const head = facts(
    [
      ['configuration', found.configRevision === 0 ? 'none applied' : `revision ${found.configRevision}`],
      ...(found.name === null ? [] : [['name', found.name] as const]),
      [
        'Temporal',
        found.temporalNamespaceId === null
          ? 'not bound yet'
          : `namespace with the id ${found.temporalNamespaceId}`,
      ],
      [
        'relays',
        relays.length === 0
          ? colours.yellow('none alive: nothing is delivered')
          : relays.map(({ label, lanes }) => `${printable(label)} (${counted(lanes, 'lane')})`).join(', '),
      ],
      ['housekeeping', housekeepingText(found.housekeeping, colours)],
      ...found.unwritten.map(
        ({ worker, outcomes, waitedMs, says }) =>
          [
            'unwritten',
            colours.red(
              `${counted(outcomes, 'outcome')} waiting in ${printable(worker)} for ${describeAge(waitedMs)}: ${printable(says)}`,
            ),
          ] as const,
      ),
      ...found.lacking.map((work) => {
        const text = lackingInWords(work);
        return ['lacking', isNobodys(work) ? colours.red(text) : colours.yellow(text)] as const;
      }),
    ],
    colours,
    '',
  );
  const body =
    destinations.length === 0 ? 'no destinations\n' : table(columnsFor(colours), destinations, colours);
  const types = unrouted.map(({ type, events }) => `  ${printable(type)}  ${events}\n`).join('');
  const lost = types === '' ? '' : `\n${colours.yellow('events that no route took')}\n${types}`;
  const half =
    found.halfMessages.length === 0 ? '' : `\n${table(messageColumns(colours), found.halfMessages, colours)}`;
  const blocked = blockedText(found.blockedKeys, colours);
  return `${head}\n${body}${blocked}${pausedText(found.pausedWorkflows, colours)}${half}${lost}${missedText(found.missed, colours)}`;
}

function missedText({ events, byType, since }: MissedEvents, colours: Colours): string {
  if (since === null)
    return colours.dim(
      '\nwhether events were written past the trigger is not known: delivered rows are not kept\n',
    );
  if (events === 0) return '';
  const types = byType.map(({ type, events: count }) => `  ${printable(type)}  ${count}\n`).join('');
  return `\n${colours.yellow('events written past the trigger; temporal-outbox routes route-missed')}\n${types}`;
}

function housekeepingText({ ageMs, passed, step }: Status['housekeeping'], colours: Colours): string {
  const last = passed ? `last done ${describeAge(ageMs)} ago`.replace('now ago', 'now') : 'not done yet';
  const now = step === null ? '' : `, ${step}`;
  return (ageMs < passOverdueMs ? last : colours.yellow(last)) + now;
}

function blockedText(keys: readonly BlockedKey[], colours: Colours): string {
  if (keys.length === 0) return '';
  const title =
    keys.length < blockedKeysShown ? 'blocked keys' : `the ${blockedKeysShown} longest blocked keys`;
  const columns = [
    { title: 'KEY', value: ({ key }: BlockedKey) => printable(key) },
    { title: 'DESTINATION', value: ({ destination }: BlockedKey) => destination },
    {
      title: 'HELD UP BY',
      value: ({ headState, deadLetterId, headEventId }: BlockedKey) =>
        headState === 'parked' ? `dead letter ${deadLetterId}, parked` : `${headEventId}, retrying`,
    },
    { title: 'WAITING', align: 'right' as const, value: ({ waiting }: BlockedKey) => String(waiting) },
    { title: 'SINCE', align: 'right' as const, value: ({ blockedMs }: BlockedKey) => describeAge(blockedMs) },
  ];
  return `\n${colours.yellow(title)}\n${table(columns, keys, colours)}`;
}

function pausedText(paused: readonly PausedWorkflow[], colours: Colours): string {
  if (paused.length === 0) return '';
  const columns = [
    { title: 'WORKFLOW', value: ({ workflowId }: PausedWorkflow) => workflowId },
    { title: 'HOLDS', align: 'right' as const, value: ({ held }: PausedWorkflow) => String(held) },
    { title: 'IS', value: ({ note }: PausedWorkflow) => printable(note) },
  ];
  return `\n${colours.yellow('paused workflows')}\n${table(columns, paused, colours)}`;
}

function messageColumns(colours: Colours) {
  const count = (
    title: string,
    pick: (row: MessageCounts) => number,
    paint: (text: string) => string = (text) => text,
  ) => ({
    title,
    align: 'right' as const,
    value: (row: MessageCounts) => (pick(row) === 0 ? colours.dim('0') : paint(String(pick(row)))),
  });
  return [
    { title: 'PRODUCER', value: (row: MessageCounts) => row.producer },
    count('PREPARED', (row) => row.prepared),
    count('OVERDUE', (row) => row.overdue),
    count('PARKED', (row) => row.parked, colours.red),
    {
      title: 'OLDEST',
      align: 'right' as const,
      value: ({ oldestMs }: MessageCounts) => describeAge(oldestMs),
    },
  ];
}

function columnsFor(colours: Colours) {
  const count = (title: string, pick: (row: DestinationStatus) => number) => ({
    title,
    align: 'right' as const,
    value: (row: DestinationStatus) => (pick(row) === 0 ? colours.dim('0') : String(pick(row))),
  });
  return [
    { title: 'DESTINATION', value: (row: DestinationStatus) => row.destination },
    count('PENDING', (row) => row.pending),
    count('SCHEDULED', (row) => row.scheduled),
    count('BLOCKED', (row) => row.blocked),
    ...[count('DELIVERING', (row) => row.delivering), count('RETRYING', (row) => row.retrying)],
    {
      title: 'PARKED',
      align: 'right' as const,
      value: ({ parked }: DestinationStatus) =>
        parked === 0 ? colours.dim('0') : colours.red(String(parked)),
    },
    {
      title: 'LAG',
      align: 'right' as const,
      value: ({ lagMs }: DestinationStatus) => describeAge(lagMs === 0 ? null : lagMs),
    },
    { title: 'RELAY', value: (row: DestinationStatus) => laneText(row, colours) },
  ];
}

function laneText(
  { paused, pausedReason, circuit, circuitReason, relay }: DestinationStatus,
  colours: Colours,
): string {
  if (paused) return colours.yellow(`paused: ${printable(pausedReason ?? 'no reason given')}`);
  if (circuit !== 'closed') return colours.red(`circuit ${circuit}: ${printable(circuitReason ?? '')}`);
  return relay === null ? colours.yellow('nobody') : printable(relay);
}
