/** Reads what receivers and producers write about themselves, as it comes, into the history. */
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry, History } from './history.ts';

export interface Journals {
  /** Reads to the present end, and then no more. */
  stop(): Promise<void>;
}

const everyMs = 100;
const portion = Buffer.alloc(1 << 20);

export function followJournals(paths: readonly string[], history: History): Journals {
  const readers = paths.map((path) => reader(path, history));
  const readAll = async (): Promise<void> => {
    for (const read of readers) await read();
  };
  let stopping = false;
  const working = (async () => {
    while (!stopping) {
      await readAll();
      await sleep(everyMs);
    }
    await readAll();
  })();
  return {
    stop: async () => {
      stopping = true;
      await working;
    },
  };
}

function reader(path: string, history: History): () => Promise<void> {
  let offset = 0;
  let rest = Buffer.alloc(0);
  return async () => {
    const file = await open(path, 'r').catch(() => null);
    if (file === null) return;
    try {
      for (;;) {
        const { bytesRead } = await file.read(portion, 0, portion.length, offset);
        if (bytesRead === 0) return;
        offset += bytesRead;
        const text = Buffer.concat([rest, portion.subarray(0, bytesRead)]);
        const end = text.lastIndexOf('\n') + 1;
        rest = text.subarray(end);
        for (const line of text.toString('utf8', 0, end).split('\n')) take(line, history);
      }
    } finally {
      await file.close();
    }
  };
}

/** A line that a kill broke off was never acted on: its process had not come to its answer. */
function take(line: string, history: History): void {
  let entry: Entry;
  try {
    entry = JSON.parse(line) as Entry;
  } catch {
    return;
  }
  history.record(entry);
}
