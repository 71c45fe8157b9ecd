import type { Destinations, Log, Reachable } from '../../activities/index.ts';
import { Pace } from '../core/askedToWait.ts';
import type { DestinationConfig } from '../core/destination.ts';
import type { Environment } from '../core/secrets.ts';
import type { DestinationTypes } from '../destination/registry.ts';
import { createSender } from '../destination/senders.ts';
import { Connections } from '../destination/shared/connections.ts';
import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';
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
  readonly #live: LiveByName<DestinationConfig, Reachable>;

  constructor(db: Queryable, { env, log, shares, types }: LiveDestinationsOptions) {
    const connections = new Connections();
    this.#live = new LiveByName({
      read: async () => {
        const { revision, destinations, keepDelivered } = await readDestinations(db);
        this.keepDelivered = keepDelivered;
        log.info({ revision, destinations: destinations.length }, 'configuration loaded');
        return { revision, configs: destinations };
      },
      open: (config) => ({
        config,
        sender: createSender(config, { env, log, connections, share: shares.of(config.name) }, types),
        pace: new Pace(),
      }),
      close: ({ sender }) => sender.close(),
    });
  }

  /** The latest revision; what there is to send to, sorted by name. Called once at the start, `find` reads again by itself. */
  async load(): Promise<DestinationConfig[]> {
    await this.#live.load();
    return this.#live.all.map(({ config }) => config);
  }

  find(name: string, configRevision: number): Promise<Reachable | undefined> {
    return this.#live.find(name, configRevision);
  }

  close(): Promise<void> {
    return this.#live.close();
  }
}
