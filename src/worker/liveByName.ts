/** Where the configuration of named things comes from, and how one of them comes to life. */
export interface LifeOf<Config, Live> {
  /** The latest revision in the database. */
  read(): Promise<{ readonly revision: number; readonly configs: readonly Config[] }>;
  /** `previous`: what was there under this name before; it may be answered again, and then lives on. */
  open(config: Config, previous: Live | undefined): Live;
  close(live: Live): Promise<void>;
}

/** What the database's configuration names, each with what it takes to reach it, which lives as long as its configuration stays. */
export class LiveByName<Config extends { readonly name: string }, Live extends { readonly config: Config }> {
  readonly #life: LifeOf<Config, Live>;
  #revision = 0;
  #byName: ReadonlyMap<string, Live> = new Map<string, Live>();
  #loading: Promise<void> | undefined;

  constructor(life: LifeOf<Config, Live>) {
    this.#life = life;
  }

  /** As of the given revision or a later one; undefined for a name that was removed. */
  async find(name: string, revision: number): Promise<Live | undefined> {
    await this.follow(revision);
    return this.#byName.get(name);
  }

  /** Reads that revision or a later one, where this is older. */
  async follow(revision: number): Promise<void> {
    while (this.#revision < revision)
      await (this.#loading ??= this.load().finally(() => (this.#loading = undefined)));
  }

  get all(): Live[] {
    return [...this.#byName.values()];
  }

  /** `find` does so by itself. */
  async load(): Promise<void> {
    const { revision, configs } = await this.#life.read();
    const previous = this.#byName;
    this.#byName = new Map(configs.map((config) => [config.name, this.#reuse(previous, config)]));
    this.#revision = revision;
    for (const [name, old] of previous) if (this.#byName.get(name) !== old) void this.#life.close(old);
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((live) => this.#life.close(live)));
  }

  #reuse(previous: ReadonlyMap<string, Live>, config: Config): Live {
    const known = previous.get(config.name);
    if (known !== undefined && JSON.stringify(known.config) === JSON.stringify(config)) return known;
    return this.#life.open(config, known);
  }
}
