/** One server and one wire for all rows of a suite, and what a row has in hand. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../config/load.ts';
import type { DestinationConfig } from '../../core/destination.ts';
import type { OutgoingMessage, Sender, SendOutcome } from '../../core/outcome.ts';
import { builtInTypes, withOwnTypes } from '../../destination/registry.ts';
import { createSender } from '../../destination/senders.ts';
import { Connections } from '../../destination/shared/connections.ts';
import { wholeShare } from '../../destination/shared/share.ts';
import type { DestinationType, Services } from '../../destination/type.ts';
import type { Harness, HarnessServer, Place } from './harness.ts';
import { openWire, type Wire } from './wire.ts';

export interface OpenOptions {
  /** Where the settings lead. Default: through the wire, or to nowhere where the server has no address. */
  readonly address?: string;
  /** Keys of the policy: `timeout`, `concurrency`, … */
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly connections?: Connections;
}

/** A sender, its configuration and what it works with. */
export interface Opened {
  readonly config: DestinationConfig;
  readonly services: Services;
  readonly sender: Sender;
  /** Sends with a signal that never fires. */
  send(message: OutgoingMessage): Promise<SendOutcome>;
}

export interface Play {
  readonly harness: Harness;
  readonly server: HarnessServer;
  readonly wire: Wire;
  readonly patienceMs: number;
  readonly open: (place: Place, options?: OpenOptions) => Opened;
  /** The server cannot be reached; the answer ends that. */
  outage(): Promise<() => Promise<void>>;
  /** Kills the server; the answer has it back. */
  killed(): Promise<() => Promise<void>>;
  /** Until `look` no longer throws. */
  eventually<T>(look: () => T | Promise<T>): Promise<T>;
  /** Done when the row is over, latest first. */
  atEnd(close: () => unknown): void;
}

export class Stage {
  readonly #harness: Harness;
  #started: Promise<{ readonly server: HarnessServer; readonly wire: Wire }> | undefined;

  constructor(harness: Harness) {
    this.#harness = harness;
  }

  async play(row: (play: Play) => Promise<void>): Promise<void> {
    const { server, wire } = await (this.#started ??= this.#start());
    const closings: (() => unknown)[] = [];
    const patienceMs = this.#harness.patienceMs ?? 30_000;
    const { signal } = new AbortController();
    try {
      await row({
        harness: this.#harness,
        server,
        wire,
        patienceMs,
        atEnd: (close) => void closings.push(close),
        eventually: (look) => eventually(look, patienceMs),
        open: (place, options = {}) => {
          const opened = open(this.#harness.type, place, { address: wire.address, ...options }, signal);
          closings.push(() => opened.sender.close());
          return opened;
        },
        outage: async () => {
          if (server.outage !== undefined) return server.outage();
          await wire.become('refuse');
          return () => wire.become('pass');
        },
        killed: async () => {
          let isBack = false;
          const back = async (): Promise<void> => {
            if (!isBack) await server.restart?.();
            isBack = true;
          };
          closings.push(back);
          await server.kill?.();
          return back;
        },
      });
    } finally {
      await wire.become('pass');
      for (const close of closings.reverse()) await close();
    }
  }

  async end(): Promise<void> {
    const started = await this.#started?.catch(() => undefined);
    this.#started = undefined;
    await started?.wire.close();
    await started?.server.stop();
  }

  async #start() {
    let target: string | null = null;
    const wire = await openWire(() => target ?? 'nowhere:1');
    try {
      const server = await this.#harness.start(wire.address);
      target = server.behindProxy ?? server.address;
      return { server, wire };
    } catch (error) {
      await wire.close();
      throw error;
    }
  }
}

/** A destination of the settings as outbox.yaml would have it: what its keys or rules refuse fails the row. */
function open(
  type: DestinationType,
  place: Place,
  { address = '', policy = {}, connections = new Connections() }: OpenOptions,
  signal: AbortSignal,
): Opened {
  const env = { ...process.env, ...place.env?.(address) };
  const destinationTypes = ownTypes(type);
  const subject = { type: type.name, timeout: '15s', ...policy, ...place.settings(address) };
  const text = JSON.stringify({ destinations: { subject }, routes: [] });
  const config = parseConfig(text, { env, destinationTypes }).config.destinations[0]!;
  const silent = (): void => undefined;
  const services: Services = {
    env,
    share: wholeShare,
    connections,
    log: { info: silent, warn: silent },
    now: Date.now,
  };
  const sender = createSender(config, services, withOwnTypes(destinationTypes));
  return { config, services, sender, send: (message) => sender.send(message, signal) };
}

/** A type of one's own is to be named beside ours. */
export function ownTypes(type: DestinationType): readonly DestinationType[] {
  return builtInTypes.isOurs(type) ? [] : [type];
}

async function eventually<T>(look: () => T | Promise<T>, patienceMs: number): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() >= deadline) throw error;
      await sleep(50);
    }
  }
}

/** An event of its own; ids are UUIDv7, as the outbox makes them. */
export function event(changes: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const time = Date.now().toString(16).padStart(12, '0');
  const random = randomUUID();
  return {
    eventId: `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`,
    destination: 'subject',
    revision: 1,
    type: 'order.created',
    key: 'order-1',
    sequence: null,
    source: null,
    subject: null,
    contentType: 'application/json',
    payload: '{"total": 12}',
    headers: {},
    createdAt: new Date().toISOString(),
    attempt: 1,
    ...changes,
  };
}

/** So many, numbered in their payloads. */
export function events(count: number, changes: Partial<OutgoingMessage> = {}): OutgoingMessage[] {
  return Array.from({ length: count }, (_, n) => event({ payload: `{"n": ${n}}`, ...changes }));
}
