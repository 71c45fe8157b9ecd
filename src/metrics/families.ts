/** Everything of ours under /metrics: names, units and meanings. docs/metrics.md lists them; a test compares. */
import { ofCounts, ofStanding } from './database.ts';
import type { Family, Sample } from './exposition.ts';
import { counter, flag, gauge, histogram, one } from './makers.ts';
import type { Counts, Standing } from './standing.ts';
import type { ApiTally, DestinationTally, Tally } from './tally.ts';

/** What is at hand for a scrape. Undefined: it could not be asked, or this process has no such part. */
export interface Scraped {
  readonly version: string;
  readonly tally: Tally | undefined;
  readonly apiTally: ApiTally | undefined;
  readonly standing: Standing | undefined;
  readonly counts: Counts | undefined;
  readonly databaseUp: boolean;
  /** A connection broke while this scrape was asking: what it shows is not whole. */
  readonly cutOff: boolean;
  readonly temporalUp: boolean | undefined;
  /** Whether Temporal listed workflows when this process last asked it to. */
  readonly visibilityUp: boolean | undefined;
  readonly searchAttributes: boolean | undefined;
  /** Lanes that the relay of this process holds. */
  readonly lanesHeld: number | undefined;
  /** Of the Temporal worker in this process: whether it polls. */
  readonly workerUp: boolean | undefined;
  /** Outcomes that PostgreSQL does not take, and for how long. */
  readonly unwritten: { readonly outcomes: number; readonly waitedMs: number } | undefined;
}

export function familiesOf(scraped: Scraped): Family[] {
  return [
    ...ofProcess(scraped),
    ...ofTally(scraped.tally),
    ...ofApi(scraped.apiTally),
    ...ofStanding(scraped.standing),
    ...ofCounts(scraped.counts),
  ];
}

function ofProcess(scraped: Scraped): Family[] {
  const { version, databaseUp, temporalUp, lanesHeld, workerUp, unwritten } = scraped;
  return [
    gauge('outbox_info', 'Always 1; what runs is in its labels.', [{ labels: { version }, value: 1 }]),
    gauge('outbox_database_up', 'Whether PostgreSQL answered this scrape: 1 or 0.', flag(databaseUp)),
    gauge(
      'outbox_temporal_up',
      'Whether Temporal answered within the last seconds: 1 or 0.',
      flag(temporalUp),
    ),
    gauge(
      'outbox_temporal_visibility_up',
      'Whether Temporal listed workflows when last asked: 1 or 0. An extra: rows serve instead.',
      flag(scraped.visibilityUp),
    ),
    gauge(
      'outbox_temporal_search_attributes',
      'Whether our search attributes are registered: 1 or 0. An extra: workflow ids serve instead.',
      flag(scraped.searchAttributes),
    ),
    gauge('outbox_worker_up', 'Whether the Temporal worker in this process polls: 1 or 0.', flag(workerUp)),
    gauge('outbox_relay_lanes', 'Lanes that the relay in this process holds.', one(lanesHeld)),
    gauge(
      'outbox_unwritten_outcomes',
      'Outcomes of deliveries that this process holds because PostgreSQL does not take them.',
      one(unwritten?.outcomes),
    ),
    gauge(
      'outbox_unwritten_seconds',
      'For how long the first of them has waited; 0 when none does.',
      one(unwritten === undefined ? undefined : unwritten.waitedMs / 1000),
    ),
  ];
}

function ofTally(tally: Tally | undefined): Family[] {
  if (tally === undefined) return [];
  const each = [...tally.byDestination];
  const by = <Key extends string>(pick: (tally: DestinationTally) => Record<Key, number>): Sample[] =>
    each.flatMap(([destination, one]) =>
      Object.entries<number>(pick(one)).map(([outcome, value]) => ({
        labels: { destination, outcome },
        value,
      })),
    );
  const requests = each.map(([destination, { duration }]) => ({ labels: { destination }, value: duration }));
  const resolutions = [...tally.resolutions].flatMap(([action, byOutcome]) =>
    [...byOutcome].map(([outcome, value]) => ({ labels: { action, outcome }, value })),
  );
  const starts = Object.entries(tally.startsBy).map(([outcome, value]) => ({ labels: { outcome }, value }));
  return [
    counter(
      'outbox_requests_total',
      'Attempts by what they came to: acknowledged, refused, unreachable, or aborted by us.',
      by((t) => t.sent),
    ),
    counter(
      'outbox_deliveries_total',
      'Deliveries written as delivered, to be retried, or parked after an attempt.',
      by((t) => t.settled),
    ),
    {
      name: 'outbox_request_duration_seconds',
      type: 'histogram',
      help: 'How long an attempt took, answered or not.',
      samples: requests,
    },
    gauge('outbox_requests_in_flight', 'Requests under way in this process.', one(tally.underWay)),
    histogram(
      'outbox_flush_duration_seconds',
      'Writing outcomes to PostgreSQL, retries of the write included.',
      tally.flushes,
    ),
    histogram(
      'outbox_poll_duration_seconds',
      'Asking PostgreSQL for work, whether or not there was any.',
      tally.polls,
    ),
    histogram(
      'outbox_batch_rows',
      'Deliveries claimed at once, for a new batch or into an open one.',
      tally.batches,
    ),
    counter(
      'outbox_workflow_starts_total',
      'Starts of deliver workflows: started, or failed and tried again.',
      starts,
    ),
    histogram('outbox_workflow_start_duration_seconds', 'A start until Temporal answered.', tally.starts),
    counter(
      'outbox_resolutions_total',
      'Commands to dead letters that were carried out here, or refused.',
      resolutions,
    ),
  ];
}

function ofApi(tally: ApiTally | undefined): Family[] {
  if (tally === undefined) return [];
  const routes = [...tally.routes];
  return [
    counter(
      'outbox_api_requests_total',
      'Requests to the HTTP API by the status they were answered with.',
      routes.flatMap(({ method, route, byStatus }) =>
        [...byStatus].map(([status, value]) => ({
          labels: { method, route, status: String(status) },
          value,
        })),
      ),
    ),
    {
      name: 'outbox_api_request_duration_seconds',
      type: 'histogram',
      help: 'How long the HTTP API took to answer.',
      samples: routes.map(({ method, route, duration }) => ({ labels: { method, route }, value: duration })),
    },
  ];
}
