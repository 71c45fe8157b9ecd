/** What becomes of a message that had no effect, or had it: acknowledged, tried again, kept, parked or given back. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReceiverClient } from '../receiver/transaction.ts';
import type { Attempts } from './attempts.ts';
import type { Database } from './database.ts';
import type { Events } from './events.ts';
import type { Known } from './identify.ts';
import { keep, keepOn, type KeptFacts } from './kept.ts';
import type { ConsumerOptions, Settings } from './options.ts';
import type { Delivery } from './type.ts';

export interface WorkParts<Client extends ReceiverClient> {
  readonly settings: Settings;
  readonly options: ConsumerOptions<Client>;
  readonly database: Database<Client>;
  readonly attempts: Attempts;
  readonly events: Events;
  /** Of the queue, for people: `rabbitmq orders`. */
  readonly source: string;
  /** Told of what somebody has to look at. */
  readonly tell: (error: unknown, messageId: string | null) => void;
  /** Aborted first: nothing more is begun. */
  readonly stopping: AbortSignal;
  /** Aborted last: handlers are not waited for any longer. */
  readonly givenUp: AbortSignal;
}

export class Settling<Client extends ReceiverClient> {
  readonly #parts: WorkParts<Client>;

  constructor(parts: WorkParts<Client>) {
    this.#parts = parts;
  }

  /** After a delay: by the broker where it can wait so long and no order is to be kept, else from the database. */
  async again(delivery: Delivery, known: Known, delayMs: number, error: string): Promise<void> {
    const { database, settings } = this.#parts;
    if (delivery.kept !== undefined) {
      await keepOn(database, delivery.kept, { state: 'retrying', reason: 'failed', error, delayMs });
      await delivery.again?.(0);
    } else if (
      delivery.again !== null &&
      delayMs <= (delivery.againMsMax ?? delayMs) &&
      !(settings.order === 'key' && known.key !== null)
    ) {
      await delivery.again(delayMs).catch(ignore);
    } else await this.keep(delivery, known, { state: 'retrying', reason: 'failed', error, delayMs });
  }

  async park(
    delivery: Delivery,
    known: Pick<KeptFacts, 'id' | 'key' | 'type'>,
    reason: string,
    error: string,
  ): Promise<void> {
    const { database, events, tell } = this.#parts;
    const facts = { state: 'parked' as const, reason, error, delayMs: null };
    if (delivery.kept === undefined) {
      if (!(await this.keep(delivery, known, facts))) return;
    } else {
      await keepOn(database, delivery.kept, facts);
      await delivery.acknowledge();
    }
    events.tell('parked', { messageId: known.id, key: known.key, type: known.type, reason });
    tell(new Error(`parked (${reason}): ${error}`), known.id);
  }

  /** Whether it is kept: not when it had its effect meanwhile, nor while another process is at work on it. */
  async keep(
    delivery: Delivery,
    known: Pick<KeptFacts, 'id' | 'key' | 'type'>,
    facts: Pick<KeptFacts, 'state' | 'reason' | 'error' | 'delayMs'>,
  ): Promise<boolean> {
    const { database, settings, source, events } = this.#parts;
    const { id, key, type } = known;
    const written = { id, type, source, key: settings.order === 'key' ? key : null, ...facts };
    const { stopping } = this.#parts;
    let outcome = await keep(database, settings.consumer, delivery, written);
    // A connection that was cut may still hold it on the server. Given back, it would come after those of its key that are here already.
    for (
      let pauseMs = 50;
      outcome === 'in-progress' && written.key !== null;
      pauseMs = Math.min(pauseMs * 2, 2_000)
    ) {
      await sleep(pauseMs, undefined, { signal: stopping }).catch(ignore);
      if (stopping.aborted || delivery.lost?.aborted === true) break;
      outcome = await keep(database, settings.consumer, delivery, written);
    }
    if (outcome === 'in-progress') {
      const isOrdered = written.key !== null;
      await (delivery.again === null || isOrdered ? delivery.giveBack() : delivery.again(1000)).catch(ignore);
      return false;
    }
    if (outcome === 'kept' && facts.state !== 'parked')
      events.tell('kept', { messageId: id, key, type, reason: facts.reason });
    await this.acknowledge(delivery);
    return outcome === 'kept';
  }

  /** What the broker does not hear it delivers again, and the inbox knows it then. */
  async acknowledge(delivery: Delivery): Promise<null> {
    await delivery.acknowledge().catch(ignore);
    return null;
  }

  async giveBack(delivery: Delivery): Promise<void> {
    this.#parts.events.tell('given-back');
    await delivery.giveBack().catch(ignore);
  }
}

const ignore = (): undefined => undefined;
