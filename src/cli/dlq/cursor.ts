import { createHash } from 'node:crypto';
import type { DeadLetterFilter } from '../../storage/deadLetters.ts';
import { refuseUsage } from '../failure.ts';

/** Opaque on purpose: where a page ended, and a mark of the filter it belongs to. */
export function writeCursor(lastId: number, filter: DeadLetterFilter): string {
  return Buffer.from(`1.${lastId}.${markOf(filter)}`).toString('base64url');
}

/** @throws OutboxError OUTBOX_USAGE unless it is one of ours, written under the same filter */
export function readCursor(cursor: string, filter: DeadLetterFilter): number {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const match = /^1\.([1-9]\d{0,15})\.([0-9a-f]{16})$/.exec(text);
  const isWhole = Buffer.from(text, 'latin1').toString('base64url') === cursor;
  const lastId = Number(match?.[1]);
  if (match === null || !isWhole || !Number.isSafeInteger(lastId))
    refuseUsage('--cursor is not one that dlq list printed');
  if (match[2] !== markOf(filter)) {
    refuseUsage('--cursor belongs to a list with other filters', 'Repeat the filters of the page before.');
  }
  return lastId;
}

function markOf({ status, destination, type, reason, eventId }: DeadLetterFilter): string {
  const text = JSON.stringify([status, destination, type, reason, eventId]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
