/** Writes what this process delivered into outbox.flow, for the dashboard: differences of its tally, every few seconds. */
import { randomUUID } from 'node:crypto';
import type { Log } from '../../activities/index.ts';
import { repeat, type Repeated } from '../relay/repeat.ts';
import type { Pool } from '../storage/connect.ts';
import { noteFlow, type FlowNoted } from '../storage/flow.ts';
import { others, type DestinationTally, type Tally } from './tally.ts';

const everyMs = 2_000;

/** Costs one statement where something happened, and none where nothing did. What a lost process had not written is not counted. */
export function recordFlow(pool: Pool, tally: Tally, log: Log): Repeated {
  const worker = randomUUID();
  const written = new Map<string, FlowNoted>();
  const record = async (): Promise<void> => {
    const now = [...tally.byDestination].map(([destination, counts]) => standingOf(destination, counts));
    const news = now
      .map((standing) => difference(standing, written.get(standing.destination)))
      .filter(({ destination, delivered, retried, parked, slowness }) => {
        const happened = delivered + retried + parked > 0 || slowness.some((count) => count > 0);
        return destination !== others && happened;
      });
    if (news.length === 0) return;
    await noteFlow(pool, worker, news);
    for (const standing of now) written.set(standing.destination, standing);
  };
  const repeated = repeat('flow', everyMs, log, record);
  return {
    stop: async () => {
      await repeated.stop();
      await record().catch(() => undefined);
    },
  };
}

function standingOf(destination: string, { settled, duration }: DestinationTally): FlowNoted {
  return { destination, ...settled, slowness: [...duration.counts] };
}

function difference(now: FlowNoted, before: FlowNoted | undefined): FlowNoted {
  if (before === undefined) return now;
  return {
    destination: now.destination,
    delivered: now.delivered - before.delivered,
    retried: now.retried - before.retried,
    parked: now.parked - before.parked,
    slowness: now.slowness.map((count, bucket) => count - (before.slowness[bucket] ?? 0)),
  };
}
