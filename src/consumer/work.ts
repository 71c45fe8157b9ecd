/** The way of one message: which it is, its turn, its attempts, and what became of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { nextDelayMs } from '../core/retry.ts';
import { claimMessage } from '../inbox/claim.ts';
import { runHandler } from '../inbox/processOnce.ts';
import { firstRow } from '../inbox/sql.ts';
import { inTransaction, type ReceiverClient } from '../receiver/transaction.ts';
import type { Attempts, Begun } from './attempts.ts';
import type { Database } from './database.ts';
import type { Events } from './events.ts';
import { failureOf, type Failure } from './failures.ts';
import { identify, type Known } from './identify.ts';
import { keep, keepOn, type KeptFacts } from './kept.ts';
import { ConsumedMessage } from './message.ts';
import type { ConsumerOptions, Settings } from './options.ts';
import { Slots, Turns } from './slots.ts';
import type { Delivery } from './type.ts';

/** A message that took its process with it so often is not begun again. */
const deathsMax = 2;
/** Between tries that cost nothing. */
const postponedMsMax = 30_000;

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

export class Work<Client extends ReceiverClient> {
  readonly #parts: WorkParts<Client>;
  readonly #slots: Slots;
  readonly #turns = new Turns();
  readonly #here = new Set<Promise<void>>();

  constructor(parts: WorkParts<Client>) {
    this.#parts = parts;
    this.#slots = new Slots(parts.settings.concurrency);
  }

  /** Never throws: what goes wrong with the broker or for good with the database leaves the message to be delivered again. */
  take(delivery: Delivery): void {
    const under = this.#take(delivery).catch((error: unknown) => {
      if (!this.#parts.stopping.aborted) this.#parts.tell(error, null);
      return delivery.giveBack().then(ignore, ignore);
    });
    this.#here.add(under);
    void under.finally(() => this.#here.delete(under));
  }

  /** Until all that was taken is settled. */
  async idle(): Promise<void> {
    while (this.#here.size > 0) await Promise.all(this.#here);
  }

  async #take(delivery: Delivery): Promise<void> {
    const { settings, options } = this.#parts;
    const known = identify(delivery, settings.consumer, options);
    if (!('message' in known)) return this.#park(delivery, known, known.reason, known.text);
    const { order } = settings;
    const turn = order === 'key' && known.key !== null ? `key ${known.key}` : `id ${known.id}`;
    await this.#turns.run(turn, () => this.#untilSettled(delivery, known));
  }

  /** Again and again where that costs nothing and the broker need not know. */
  async #untilSettled(delivery: Delivery, known: Known): Promise<void> {
    const { database, stopping } = this.#parts;
    for (let tries = 1; ; tries++) {
      await database.available();
      const leave = await this.#slots.enter();
      let waitMs: number | null;
      try {
        if (stopping.aborted) return await this.#giveBack(delivery);
        waitMs = await this.#try(delivery, known, leave, tries);
      } finally {
        leave();
      }
      if (waitMs === null) return;
      await sleep(waitMs, undefined, { signal: stopping }).catch(ignore);
    }
  }

  /** Null when it is settled; else when to try again. */
  async #try(delivery: Delivery, known: Known, leave: () => void, tries: number): Promise<number | null> {
    const { settings, attempts, database, stopping } = this.#parts;
    let begun: Begun;
    try {
      const ordered = settings.order === 'key' ? known.key : null;
      begun = await attempts.begin(known.id, ordered, delivery.kept !== undefined);
    } catch (error) {
      if (await database.isThere(error)) this.#parts.tell(error, known.id);
      return Math.min(100 * 2 ** tries, postponedMsMax);
    }
    const { verdict, deaths } = begun;
    if (verdict === 'kept') return this.#acknowledge(delivery);
    if (verdict === 'behind') {
      await this.#keep(delivery, known, { state: 'waiting', reason: 'behind', error: null, delayMs: null });
      return null;
    }
    if (deaths >= deathsMax) {
      await this.#park(
        delivery,
        known,
        'process-died',
        `${deaths} processes ended while they were at work on it`,
      );
      return null;
    }
    if (verdict === 'go') return this.#attempt(delivery, known, begun, tries);
    // A process ended with it, or beside it: this time it is alone, so that none of its neighbours pays for it again.
    leave();
    const leaveAlone = await this.#slots.enterAlone();
    try {
      if (stopping.aborted) {
        await this.#giveBack(delivery);
        return null;
      }
      await attempts.beginAlone(known.id);
      return await this.#attempt(delivery, known, begun, tries);
    } finally {
      leaveAlone();
    }
  }

  async #attempt(delivery: Delivery, known: Known, begun: Begun, tries: number): Promise<number | null> {
    const { attempts, database, events, settings, tell } = this.#parts;
    const startedMs = performance.now();
    const during = { phase: 'claim' as 'claim' | 'handler' };
    try {
      const outcome = await this.#inTransaction(delivery, known, during);
      const durationMs = performance.now() - startedMs;
      events.tell(outcome === 'processed' ? 'processed' : 'repeated', {
        ...about(known),
        durationMs,
        reason: outcome,
      });
      attempts.settled(known.id);
      return await this.#acknowledge(delivery);
    } catch (error) {
      const durationMs = performance.now() - startedMs;
      const failure = failureOf(error, during.phase);
      // With the database away nothing is the message's fault, whatever the handler made of it.
      const isThere = failure.kind === 'refused' || (await database.isThere(error));
      if (!isThere || failure.kind === 'inbox' || failure.kind === 'postponed') {
        if (failure.kind === 'inbox' && isThere) tell(error, known.id);
        await attempts.end(known.id, false);
        return this.#postpone(delivery, known, { begun, tries, failure, isThere });
      }
      events.tell('failed', { ...about(known), durationMs, reason: failure.text });
      if (failure.kind === 'failed') tell(error, known.id);
      if (failure.kind === 'refused') {
        await this.#park(delivery, known, failure.reason, failure.text);
        return null;
      }
      const failed = await attempts.end(known.id, true);
      const delayMs = Math.max(nextDelayMs(settings.retry, failed, Math.random()), failure.retryAfterMs ?? 0);
      const isLate = Date.now() + delayMs > begun.firstAtMs + settings.retry.scheduleToCloseTimeoutMs;
      if (failed >= settings.retry.maximumAttempts || isLate)
        await this.#park(delivery, known, isLate ? 'schedule-to-close' : failure.reason, failure.text);
      else await this.#again(delivery, known, delayMs, failure.text);
      return null;
    }
  }

  #inTransaction(delivery: Delivery, known: Known, during: { phase: 'claim' | 'handler' }): Promise<string> {
    const { database, settings, options, givenUp } = this.#parts;
    const { message } = known;
    return inTransaction(database.pool, settings.isolation, async (client) => {
      during.phase = 'claim';
      const claim = await claimMessage(client, message, settings.claim, null);
      if (claim.outcome === 'taken') {
        during.phase = 'handler';
        const told = new ConsumedMessage(delivery, { ...known, signal: givenUp }, message, claim.replaces);
        const run = async () =>
          runHandler(client, message, claim.replaces, () => options.handler(client, told));
        await (options.around === undefined ? run() : options.around(told, run));
      }
      if (delivery.kept !== undefined) {
        const row = await firstRow<{ applied: boolean }>(
          client,
          'select outbox_inbox.applied($1::bigint) as applied',
          [delivery.kept],
        );
        if (claim.outcome === 'taken' && row?.applied !== true)
          throw new Error('it was resolved by somebody meanwhile');
      }
      return claim.outcome === 'taken' ? 'processed' : claim.outcome;
    });
  }

  /** It was not possible now. The queue need not know, unless that would hold up others. */
  async #postpone(
    delivery: Delivery,
    known: Known,
    facts: {
      readonly begun: Begun;
      readonly tries: number;
      readonly failure: Failure;
      readonly isThere: boolean;
    },
  ): Promise<number | null> {
    const { settings, events } = this.#parts;
    const { begun, tries, failure, isThere } = facts;
    // The database's absence is told once, and waited for by all.
    if (!isThere) return 0;
    events.tell('postponed', { ...about(known), reason: failure.text });
    if (
      failure.kind === 'postponed' &&
      Date.now() > begun.firstAtMs + settings.retry.scheduleToCloseTimeoutMs
    ) {
      await this.#park(delivery, known, 'schedule-to-close', failure.text);
      return null;
    }
    const grown = Math.min(settings.retry.initialIntervalMs * 2 ** (tries - 1), postponedMsMax);
    const delayMs = failure.retryAfterMs ?? grown;
    if (failure.kind === 'inbox' || settings.order === 'key' || delivery.again === null) return delayMs;
    await this.#again(delivery, known, delayMs, failure.text);
    return null;
  }

  /** After a delay: by the broker where it can and no order is to be kept, else from the database. */
  async #again(delivery: Delivery, known: Known, delayMs: number, error: string): Promise<void> {
    const { database, settings } = this.#parts;
    if (delivery.kept !== undefined) {
      await keepOn(database, delivery.kept, { state: 'retrying', reason: 'failed', error, delayMs });
      await delivery.again?.(0);
    } else if (delivery.again !== null && !(settings.order === 'key' && known.key !== null)) {
      await delivery.again(delayMs).catch(ignore);
    } else await this.#keep(delivery, known, { state: 'retrying', reason: 'failed', error, delayMs });
  }

  async #park(
    delivery: Delivery,
    known: Pick<KeptFacts, 'id' | 'key' | 'type'>,
    reason: string,
    error: string,
  ): Promise<void> {
    const { database, events, tell } = this.#parts;
    const facts = { state: 'parked' as const, reason, error, delayMs: null };
    if (delivery.kept === undefined) {
      if (!(await this.#keep(delivery, known, facts))) return;
    } else {
      await keepOn(database, delivery.kept, facts);
      await delivery.acknowledge();
    }
    events.tell('parked', { messageId: known.id, key: known.key, type: known.type, reason });
    tell(new Error(`parked (${reason}): ${error}`), known.id);
  }

  /** Whether it is kept: not when it had its effect meanwhile, nor while another process is at work on it. */
  async #keep(
    delivery: Delivery,
    known: Pick<KeptFacts, 'id' | 'key' | 'type'>,
    facts: Pick<KeptFacts, 'state' | 'reason' | 'error' | 'delayMs'>,
  ): Promise<boolean> {
    const { database, settings, source, events } = this.#parts;
    const { id, key, type } = known;
    const written = { id, type, source, key: settings.order === 'key' ? key : null, ...facts };
    const outcome = await keep(database, settings.consumer, delivery, written);
    if (outcome === 'in-progress') {
      await (delivery.again === null ? delivery.giveBack() : delivery.again(1000)).catch(ignore);
      return false;
    }
    if (outcome === 'kept' && facts.state !== 'parked')
      events.tell('kept', { messageId: id, key, type, reason: facts.reason });
    await this.#acknowledge(delivery);
    return outcome === 'kept';
  }

  /** What the broker does not hear it delivers again, and the inbox knows it then. */
  async #acknowledge(delivery: Delivery): Promise<null> {
    await delivery.acknowledge().catch(ignore);
    return null;
  }

  async #giveBack(delivery: Delivery): Promise<void> {
    this.#parts.events.tell('given-back');
    await delivery.giveBack().catch(ignore);
  }
}

function about({ id, key, type }: Known): { messageId: string; key: string | null; type: string | null } {
  return { messageId: id, key, type };
}

const ignore = (): undefined => undefined;
