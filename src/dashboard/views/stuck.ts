/** What waits for somebody or something, in the words of the first page. */
import type { ParkedSince } from '../../storage/deadLetters.ts';
import type { MessageCounts } from '../../storage/messages.ts';
import type { PausedWorkflow } from '../../storage/paused.ts';
import type { BlockedKey, UnwrittenOutcomes } from '../../storage/status.ts';
import type { OverviewDestination } from './overview.ts';
import { counted } from '../../core/counted.ts';

export interface Stuck {
  readonly kind:
    'no-relay' | 'unwritten' | 'circuit' | 'paused' | 'parked' | 'lag' | 'key' | 'message' | 'workflow';
  readonly what: string;
  /** ISO 8601; null where nobody knows. */
  readonly since: string | null;
  /** Where on the page there is more: `/letters?destination=billing`; null: nowhere. */
  readonly more: string | null;
}

export interface StuckFacts {
  readonly destinations: readonly OverviewDestination[];
  readonly parkedSince: readonly ParkedSince[];
  readonly keys: readonly BlockedKey[];
  readonly messages: readonly MessageCounts[];
  readonly unwritten: readonly UnwrittenOutcomes[];
  readonly paused: readonly PausedWorkflow[];
  readonly relays: number;
}

/** From when on what is due and not sent is worth a word. */
const lagSecondsMin = 30;

export function stuckOf(facts: StuckFacts): Stuck[] {
  const { destinations, parkedSince, keys, messages, unwritten, paused, relays } = facts;
  const parkedFor = new Map(parkedSince.map(({ destination, oldestMs }) => [destination, oldestMs]));
  const waiting = destinations.filter(({ counts }) => counts.pending > 0);
  return [
    ...(relays === 0
      ? [
          stuck(
            'no-relay',
            `no relay is alive: nothing is delivered${waiting.length > 0 ? ', and events wait' : ''}`,
            null,
            null,
          ),
        ]
      : []),
    ...unwritten.map(({ worker, outcomes, waitedMs, says }) =>
      stuck(
        'unwritten',
        `${worker} holds ${outcomes} outcomes that PostgreSQL does not take: ${says}`,
        waitedMs,
        null,
      ),
    ),
    ...destinations.filter(({ state }) => state !== 'closed').map(held),
    ...destinations
      .filter(({ counts }) => counts.parked > 0)
      .map((one) => parked(one, parkedFor.get(one.destination) ?? null)),
    ...destinations
      .filter(({ state, lagSeconds }) => state === 'closed' && lagSeconds >= lagSecondsMin)
      .map(({ destination, lagSeconds, counts }) =>
        stuck(
          'lag',
          `${destination} is behind: ${counts.pending} pending`,
          lagSeconds * 1000,
          '/destinations',
        ),
      ),
    ...keys.map(({ destination, key, waiting: behind, deadLetterId, blockedMs }) =>
      stuck(
        'key',
        `${behind} ${behind === 1 ? 'event waits' : 'events wait'} behind key ${key} at ${destination}`,
        blockedMs,
        deadLetterId === null ? null : `/letters/${deadLetterId}`,
      ),
    ),
    ...messages.flatMap(({ producer, parked: count, oldestMs }) =>
      count === 0
        ? []
        : [
            stuck(
              'message',
              `${counted(count, 'half message')} of ${producer} parked`,
              oldestMs,
              '/messages?status=parked',
            ),
          ],
    ),
    ...paused.map(({ workflowId, held: count, note }) =>
      stuck('workflow', `workflow ${workflowId}, which holds ${count}, is ${note}`, null, null),
    ),
  ];
}

function held({ destination, state, reason, since }: OverviewDestination): Stuck {
  const why = reason === null ? '' : `: ${reason}`;
  return {
    kind: state === 'paused' ? 'paused' : 'circuit',
    what:
      state === 'paused'
        ? `${destination} is paused${why}`
        : `the circuit of ${destination} is ${state}${why}`,
    since,
    more: '/destinations',
  };
}

function parked({ destination, counts }: OverviewDestination, oldestMs: number | null): Stuck {
  return stuck(
    'parked',
    `${counted(counts.parked, 'event')} parked at ${destination}`,
    oldestMs,
    `/letters?destination=${destination}`,
  );
}

function stuck(kind: Stuck['kind'], what: string, forMs: number | null, more: string | null): Stuck {
  return { kind, what, since: forMs === null ? null : new Date(Date.now() - forMs).toISOString(), more };
}
