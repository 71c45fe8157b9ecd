/** What a run did and saw, in the order in which the rig came to know it: one JSON object a line. Checkers read nothing else. */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

/** All times are milliseconds of this machine's clock. */
export type Entry = { readonly at: number } & (
  | {
      readonly what: 'run';
      readonly seed: number;
      readonly ordered: boolean;
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
  /** A receiver's answer to one request, after it had its effect. */
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
  | { readonly what: 'fault'; readonly fault: string; readonly forMs: number }
  /** Everything works again; within a minute `probe` must have arrived. */
  | { readonly what: 'healed'; readonly probe: string }
  /** An operator's command, about to be sent; `times`: how often. */
  | {
      readonly what: 'command';
      readonly commandId: string;
      readonly letter: number;
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
  /** From the database, when the run is over. */
  | { readonly what: 'rows'; readonly events: readonly string[]; readonly facts: readonly string[] }
  | { readonly what: 'letters'; readonly letters: readonly Letter[] }
  | { readonly what: 'audit'; readonly lines: readonly AuditLine[] }
  | {
      readonly what: 'left';
      readonly deliveries: Readonly<Record<string, number>>;
      readonly processes: number;
    }
);

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
}

export interface AuditLine {
  readonly commandId: string | null;
  readonly action: string;
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
  /** Everything is in the file. */
  close(): Promise<void>;
}

export function openHistory(path: string): History {
  const file = createWriteStream(path);
  const entries: Entry[] = [];
  return {
    entries,
    path,
    note: (news) => {
      const entry = { at: Date.now(), ...news } as Entry;
      entries.push(entry);
      file.write(`${JSON.stringify(entry)}\n`);
    },
    close: async () => {
      file.end();
      await finished(file);
    },
  };
}

export function all<What extends Entry['what']>(entries: readonly Entry[], what: What): EntryOf<What>[] {
  return entries.filter((entry): entry is EntryOf<What> => entry.what === what);
}
