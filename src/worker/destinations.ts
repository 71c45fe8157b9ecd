import type { Destinations, Log, Reachable } from '../../activities/index.ts';
import { Pace } from '../core/askedToWait.ts';
import type { DestinationConfig } from '../core/destination.ts';
import type { Environment } from '../core/secrets.ts';
import type { DestinationTypes } from '../destination/registry.ts';
import { createSender, problemOf } from '../destination/senders.ts';
import { Connections } from '../destination/shared/connections.ts';
import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Lack } from '../storage/lacking.ts';
import { LiveByName } from './liveByName.ts';
import type { Shares } from './shares.ts';

export interface LiveDestinationsOptions {
  readonly env: Environment;
  readonly log: Log;
  readonly shares: Shares;
  readonly types: DestinationTypes;
}

/** The destinations as the database has them, with senders that live as long as their configuration does not change. */
export class LiveDestinations implements Destinations {
  /** As of the configuration loaded last. */
  keepDelivered = true;
  /** By destination: what this process lacks to send by its latest configuration. */
  problems: ReadonlyMap<string, string> = new Map<string, string>();
  readonly #live: LiveByName<DestinationConfig, Reachable>;

  constructor(db: Queryable, { env, log, shares, types }: LiveDestinationsOptions) {
    const connections = new Connections();
    this.#live = new LiveByName({
      read: async () => {
        const { revision, destinations, keepDelivered } = await readDestinations(db);
        this.keepDelivered = keepDelivered;
        log.info({ revision, destinations: destinations.length }, 'configuration loaded');
        this.problems = new Map(
          destinations.flatMap((config) => {
            const problem = problemOf(config, { env }, types);
            return problem === null ? [] : [[config.name, problem.message] as const];
          }),
        );
        return { revision, configs: destinations };
      },
      open: (config, previous) => {
        const problem = this.problems.get(config.name) ?? null;
        if (problem !== null) {
          const usable = previous !== undefined && previous.problem === null;
          log.error(
            { destination: config.name, problem },
            usable
              ? 'this process cannot send by the latest configuration: it goes on with the one before, until it is restarted with what it lacks'
              : 'this process cannot send to a destination: its events are left to processes that can',
          );
          if (usable) return previous;
        }
        const services = { env, log, connections, share: shares.of(config.name) };
        return { config, sender: createSender(config, services, types), pace: new Pace(), problem };
      },
      close: ({ sender }) => sender.close(),
    });
  }

  /** The latest revision; what there is to send to, sorted by name. Called once at the start, `find` reads again by itself. */
  async load(): Promise<DestinationConfig[]> {
    await this.#live.load();
    return this.#live.all.map(({ config }) => config);
  }

  /** Destinations whose events this process leaves to others. */
  get unable(): string[] {
    return this.#live.all.filter(({ problem }) => problem !== null).map(({ config }) => config.name);
  }

  /** What this process lacks to send by the latest configuration. */
  get lacking(): ReadonlyMap<string, Lack> {
    const unable = new Set(this.unable);
    return new Map(
      [...this.problems].map(([name, problem]) => [name, { problem, goesOn: !unable.has(name) }]),
    );
  }

  find(name: string, configRevision: number): Promise<Reachable | undefined> {
    return this.#live.find(name, configRevision);
  }

  /** Reads the configuration where it is newer. */
  async follow(configRevision: number): Promise<void> {
    await this.#live.follow(configRevision);
  }

  close(): Promise<void> {
    return this.#live.close();
  }
}
