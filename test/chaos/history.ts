/**
 * What a run did and saw, in the order in which the rig came to know it: one JSON object a line. Checkers read nothing else. Receivers and
 * producers are processes of their own, whose lines come a moment later than they were written.
 */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

/** All times are milliseconds of this machine's clock. */
export type Entry = { readonly at: number } & (
  | {
      readonly what: 'run';
      readonly seed: number;
      readonly patience: Patience;
      readonly routes: Readonly<Record<string, readonly string[]>>;
    }
  /** A producer's transaction is about to be committed or rolled back. */
  | { readonly what: 'intent'; readonly tx: string; readonly events: readonly IntendedEvent[] }
  /** `unknown`: the connection broke before the answer came. */
  | {
      readonly what: 'outcome';
      readonly tx: string;
      readonly outcome: 'committed' | 'rolled-back' | 'unknown';
    }
  /** A producer was asked to write no more, and does not. */
  | { readonly what: 'wrote'; readonly producer: string }
  /** A receiver had its effect and is about to give this answer. */
  | {
      readonly what: 'request';
      readonly destination: string;
      readonly event: string;
      /** `webhook-id`: with `:r2` once edited. */
      readonly id: string;
      readonly key: string;
      readonly attempt: number;
      readonly status: number;
    }
  /** From here on faults come at random, until `healed`. */
  | { readonly what: 'storm' }
  | ({ readonly what: 'fault'; readonly fault: string; readonly forMs: number } & Allowance)
  /** Everything works again; within a minute `probe` must have arrived. */
  | { readonly what: 'healed'; readonly probe: string }
  /** The probe has arrived, and all that was written before `healed` is delivered or parked; null: not within the time given. */
  | { readonly what: 'calm'; readonly afterMs: number | null }
  /** The database was copied; `restored`: it is as it was then. */
  | { readonly what: 'copied' }
  | { readonly what: 'restored' }
  /** An operator's command, about to be sent; `times`: how often. */
  | {
      readonly what: 'command';
      readonly commandId: string;
      readonly letter: number;
      readonly event: string;
      readonly action: string;
      readonly times: number;
    }
  /** One of our processes ended, though nobody asked it to. */
  | {
      readonly what: 'ended';
      readonly process: string;
      readonly code: number | null;
      readonly signal: string | null;
    }
  | {
      readonly what: 'sample';
      readonly calm: boolean;
      readonly connections: number;
      readonly rssMiB: Readonly<Record<string, number>>;
    }
  /** From the database, when the run is over. `facts`: transactions whose own row is there. */
  | { readonly what: 'rows'; readonly events: readonly string[]; readonly facts: readonly string[] }
  /** When the acknowledgement of a delivery was written, by `<destination>/<event>`. */
  | { readonly what: 'delivered'; readonly times: Readonly<Record<string, number>> }
  /** Failed attempts, and whether the event paid for them. */
  | { readonly what: 'attempts'; readonly failed: readonly FailedAttempts[] }
  /** From the bank's own database. */
  | { readonly what: 'effects'; readonly booked: readonly string[]; readonly balance: number }
  | { readonly what: 'letters'; readonly letters: readonly Letter[] }
  | { readonly what: 'audit'; readonly lines: readonly AuditLine[] }
  | { readonly what: 'redrives'; readonly redrives: readonly RedriveSums[] }
  | {
      readonly what: 'left';
      readonly deliveries: Readonly<Record<string, number>>;
      readonly processes: number;
    }
);

/** How many deliveries a fault may cause to be sent again, see bounds.ts; and of these, after their acknowledgement was written. */
export interface Allowance {
  readonly repeats: number;
  readonly late: number;
}

/** What is asked of a run. */
export interface Patience {
  /** Given to settle what was written before everything worked again. */
  readonly healMs: number;
  /** Deliveries that may come again without a fault: where the machine is so busy that answers are read too late. */
  readonly calmRepeats: number;
}

export interface IntendedEvent {
  readonly id: string;
  readonly type: string;
  readonly key: string;
  /** Rises with every event of the key that one producer writes. */
  readonly number: number;
}

export interface Letter {
  readonly id: number;
  readonly event: string;
  readonly destination: string;
  readonly resolution: string | null;
  readonly resolvedAt: number | null;
  readonly redirectedTo: string | null;
  readonly commandId: string | null;
}

export interface RedriveSums {
  readonly id: number;
  readonly state: string;
  readonly total: number;
  /** Letters it let go. */
  readonly acted: number;
}

export interface FailedAttempts {
  readonly destination: string;
  readonly errorClass: string;
  readonly charged: boolean;
  readonly count: number;
}

export interface AuditLine {
  readonly commandId: string | null;
  readonly action: string;
  readonly destination: string | null;
  readonly outcome: string;
  readonly events: number;
}

export type EntryOf<What extends Entry['what']> = Extract<Entry, { readonly what: What }>;
/** An entry without its time. */
export type News = Entry extends infer E ? (E extends Entry ? Omit<E, 'at'> : never) : never;

export interface History {
  readonly entries: readonly Entry[];
  readonly path: string;
  note(news: News): void;
  /** What somebody else noted, with its time. */
  record(entry: Entry): void;
  /** Whether the event was acknowledged by that destination. */
  arrived(destination: string, event: string): boolean;
  /** Everything is in the file. */
  close(): Promise<void>;
}

export function openHistory(path: string): History {
  const file = createWriteStream(path);
  const entries: Entry[] = [];
  const acknowledged = new Set<string>();
  const record = (entry: Entry): void => {
    entries.push(entry);
    if (entry.what === 'request' && entry.status < 300)
      acknowledged.add(`${entry.destination} ${entry.event}`);
    file.write(`${JSON.stringify(entry)}\n`);
  };
  return {
    entries,
    path,
    record,
    note: (news) => record({ at: Date.now(), ...news }),
    arrived: (destination, event) => acknowledged.has(`${destination} ${event}`),
    close: async () => {
      file.end();
      await finished(file);
    },
  };
}

export function all<What extends Entry['what']>(entries: readonly Entry[], what: What): EntryOf<What>[] {
  return entries.filter((entry): entry is EntryOf<What> => entry.what === what);
}
