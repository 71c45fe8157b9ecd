import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OutboxError } from '../errors.ts';
import { commandLineOf, isAlive } from './processes.ts';

/** SQLite would let a second server open the file of a running one; so who has it is written beside it. */
interface Holder {
  /** The Temporal server. */
  readonly server: number;
  /** The process that started it. */
  readonly owner: number;
}

/** The absolute path of a data file whose folder exists, links in it followed, so that equal files look equal. */
export async function prepareDataFile(dataFile: string): Promise<string> {
  const path = resolve(dataFile);
  await mkdir(dirname(path), { recursive: true });
  return join(await realpath(dirname(path)), basename(path));
}

/** The file that {@link recordHolder} writes. */
export function holderFile(dataFile: string): string {
  return `${dataFile}.server`;
}

export async function recordHolder(dataFile: string, server: number): Promise<void> {
  const holder: Holder = { server, owner: process.pid };
  await writeFile(holderFile(dataFile), JSON.stringify(holder));
}

/** How long a server whose owner is gone may take to end: its keeper kills it after 8 s. */
const leavingMsMax = 12_000;

/** Waits for a server that is on its way out, and refuses where one is running on the file. */
export async function requireUnheld(dataFile: string): Promise<void> {
  const deadline = Date.now() + leavingMsMax;
  for (;;) {
    const holder = await readHolder(dataFile);
    if (holder === null || !isAlive(holder.server)) return;
    // The id may be another program's by now.
    if (!(await commandLineOf(holder.server)).includes(dataFile)) return;
    if (isAlive(holder.owner) || Date.now() > deadline) throw heldError(dataFile, holder);
    await sleep(100);
  }
}

async function readHolder(dataFile: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(holderFile(dataFile), 'utf8')) as Holder;
  } catch {
    // None, or one cut short by a crash: SQLite's own lock is what is left.
    return null;
  }
}

function heldError(dataFile: string, holder: Holder): OutboxError {
  const message = `A Temporal server (process ${holder.server}) is running on ${dataFile} already.`;
  const hint = `Stop the process that started it (${holder.owner}), or choose another --data directory.`;
  return new OutboxError('OUTBOX_SERVER_START', message, { hint });
}
