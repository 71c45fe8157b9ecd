import { createHash } from 'node:crypto';
import { refuseUsage } from './failure.ts';

/** Opaque on purpose: where a page ended (a number or UUID), and a mark of the filter it belongs to. */
export function writeCursor(lastId: number | string, filter: object): string {
  return Buffer.from(`1.${lastId}.${markOf(filter)}`).toString('base64url');
}

export interface CursorOf<Id> {
  /** The command that printed it, such as `dlq list`. */
  readonly command: string;
  /** Null for what is no id. */
  readonly idOf: (text: string) => Id | null;
}

/** @throws OutboxError OUTBOX_USAGE unless it is one of ours, written under the same filter */
export function readCursor<Id>(cursor: string, filter: object, { command, idOf }: CursorOf<Id>): Id {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const match = /^1\.([0-9a-f-]{1,36})\.([0-9a-f]{16})$/.exec(text);
  const isWhole = Buffer.from(text, 'latin1').toString('base64url') === cursor;
  const lastId = idOf(match?.[1] ?? '');
  if (match === null || !isWhole || lastId === null)
    refuseUsage(`--cursor is not one that ${command} printed`);
  if (match[2] !== markOf(filter)) {
    refuseUsage('--cursor belongs to a list with other filters', 'Repeat the filters of the page before.');
  }
  return lastId;
}

function markOf(filter: object): string {
  const text = JSON.stringify(Object.entries(filter).sort(([a], [b]) => (a < b ? -1 : 1)));
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
