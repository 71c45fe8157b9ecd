import type { Log } from '../../activities/index.ts';
import { lookForAlerts } from '../storage/alerts.ts';
import type { Queryable } from '../storage/connect.ts';

/** Without alerts in the configuration it is looked for some so often. */
const restMs = 15_000;

/** Asks PostgreSQL to look for what is worth an alert; of all processes one does, in each interval. */
export class AlertWatch {
  readonly #db: Queryable;
  readonly #log: Log;
  #restUntil = 0;

  constructor(db: Queryable, log: Log) {
    this.#db = db;
    this.#log = log;
  }

  async pass(): Promise<void> {
    if (performance.now() < this.#restUntil) return;
    const look = await lookForAlerts(this.#db);
    this.#restUntil = performance.now() + Math.min(look?.waitMs ?? restMs, restMs);
    for (const text of look?.said ?? []) this.#log.warn({}, `alert ${text}`);
    for (const text of look?.untold ?? [])
      this.#log.error({}, `alert to nobody, as it is about the only destination for alerts: ${text}`);
  }
}
