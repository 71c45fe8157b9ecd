import type { ApiTelemetry, SendResult, SettledAs, Telemetry } from '../core/telemetry.ts';
import { Distribution, rowsOfBatches, secondsOfRequests, secondsOfSteps } from './distribution.ts';

/** Destinations with series of their own, per process. Those beyond share one, named as no destination can be. */
export const maximumDestinations = 200;
export const others = '_other';

/** What one destination came to in this process. */
export interface DestinationTally {
  readonly sent: Record<SendResult, number>;
  readonly settled: Record<SettledAs, number>;
  readonly duration: Distribution;
}

/** Counts since this process began. */
export class Tally implements Telemetry {
  readonly byDestination = new Map<string, DestinationTally>();
  readonly flushes = new Distribution(secondsOfSteps);
  readonly polls = new Distribution(secondsOfSteps);
  readonly batches = new Distribution(rowsOfBatches);
  readonly starts = new Distribution(secondsOfSteps);
  readonly startsBy = { started: 0, failed: 0 };
  /** By action and outcome, in that order. */
  readonly resolutions = new Map<string, Map<string, number>>();
  underWay = 0;

  sending(): void {
    this.underWay++;
  }

  sent(destination: string, outcome: SendResult, durationMs: number | null): void {
    this.underWay--;
    const tally = this.#of(destination);
    tally.sent[outcome]++;
    if (durationMs !== null) tally.duration.observe(durationMs / 1000);
  }

  settled(destination: string, as: SettledAs, deliveries: number): void {
    this.#of(destination).settled[as] += deliveries;
  }

  flushed(durationMs: number): void {
    this.flushes.observe(durationMs / 1000);
  }

  polled(durationMs: number): void {
    this.polls.observe(durationMs / 1000);
  }

  claimed(rows: number): void {
    this.batches.observe(rows);
  }

  started(outcome: 'started' | 'failed', durationMs: number): void {
    this.startsBy[outcome]++;
    this.starts.observe(durationMs / 1000);
  }

  resolved(action: string, outcome: string): void {
    const byOutcome = this.resolutions.get(action) ?? new Map<string, number>();
    this.resolutions.set(action, byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1));
  }

  #of(destination: string): DestinationTally {
    return this.byDestination.get(destination) ?? this.#admit(destination);
  }

  #admit(destination: string): DestinationTally {
    const known = this.byDestination.size < maximumDestinations ? undefined : this.byDestination.get(others);
    if (known !== undefined) return known;
    const tally: DestinationTally = {
      sent: { acknowledged: 0, refused: 0, unreachable: 0, aborted: 0 },
      settled: { delivered: 0, retried: 0, parked: 0 },
      duration: new Distribution(secondsOfRequests),
    };
    this.byDestination.set(this.byDestination.size < maximumDestinations ? destination : others, tally);
    return tally;
  }
}

/** What one route of the API came to in this process. */
export interface RouteTally {
  readonly method: string;
  readonly route: string;
  readonly byStatus: Map<number, number>;
  readonly duration: Distribution;
}

/** Answers of the HTTP API since this process began. Routes are few; all addresses where there is none are one. */
export class ApiTally implements ApiTelemetry {
  readonly #routes = new Map<string, RouteTally>();

  get routes(): Iterable<RouteTally> {
    return this.#routes.values();
  }

  answered(method: string, route: string | undefined, status: number, durationMs: number): void {
    const { byStatus, duration } = route === undefined ? this.#of(others, others) : this.#of(method, route);
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    duration.observe(durationMs / 1000);
  }

  #of(method: string, route: string): RouteTally {
    const name = `${method} ${route}`;
    const known = this.#routes.get(name);
    if (known !== undefined) return known;
    const tally = { method, route, byStatus: new Map(), duration: new Distribution(secondsOfRequests) };
    this.#routes.set(name, tally);
    return tally;
  }
}
