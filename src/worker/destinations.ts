import type { Destinations, Log, Reachable } from '../../activities/index.ts';
import type { DestinationConfig } from '../core/destination.ts';
import type { Environment } from '../core/secrets.ts';
import { createSender } from '../destination/index.ts';
import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Shares } from './shares.ts';

/** The destinations as the database has them, with senders that live as long as their configuration does not change. */
export class LiveDestinations implements Destinations {
  readonly #db: Queryable;
  readonly #env: Environment;
  readonly #log: Log;
  /** As of the configuration loaded last. */
  keepDelivered = true;
  readonly #shares: Shares;
  #revision = 0;
  #byName = new Map<string, Reachable>();
  #loading: Promise<void> | undefined;

  constructor(db: Queryable, env: Environment, log: Log, shares: Shares) {
    this.#db = db;
    this.#shares = shares;
    this.#env = env;
    this.#log = log;
  }

  /** The latest revision; what there is to send to, sorted by name. Called once at the start, `find` reads again by itself. */
  async load(): Promise<DestinationConfig[]> {
    await this.#load();
    return [...this.#byName.values()].map(({ config }) => config);
  }

  async find(name: string, configRevision: number): Promise<Reachable | undefined> {
    while (this.#revision < configRevision)
      await (this.#loading ??= this.#load().finally(() => (this.#loading = undefined)));
    return this.#byName.get(name);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byName.values()].map(({ sender }) => sender.close()));
  }

  async #load(): Promise<void> {
    const { revision, destinations, keepDelivered } = await readDestinations(this.#db);
    const previous = this.#byName;
    this.#byName = new Map(destinations.map((config) => [config.name, this.#reuse(previous, config)]));
    this.#revision = revision;
    this.keepDelivered = keepDelivered;
    this.#log.info({ revision, destinations: destinations.length }, 'configuration loaded');
    for (const [name, old] of previous) {
      if (this.#byName.get(name) !== old) void old.sender.close();
    }
  }

  #reuse(previous: ReadonlyMap<string, Reachable>, config: DestinationConfig): Reachable {
    const known = previous.get(config.name);
    if (known !== undefined && JSON.stringify(known.config) === JSON.stringify(config)) return known;
    return { config, sender: createSender(config, { env: this.#env, share: this.#shares.of(config.name) }) };
  }
}
