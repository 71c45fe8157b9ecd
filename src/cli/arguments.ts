/** What options and arguments may look like. A wrong one ends the command with its usage before anything is done. */
import { readFile, stat } from 'node:fs/promises';
import { InvalidArgumentError, Option } from 'commander';
import { durationExpected, parseDuration } from '../core/duration.ts';
import { listenExpected, parseListen, type ListenAddress } from '../core/listen.ts';
import { momentMs } from '../core/moment.ts';
import { isRate, rates } from '../core/paced.ts';
import { refuseUsage } from './failure.ts';
import { isUuid } from '../core/uuid.ts';

export const limitMax = 1000;

export function parseLimit(text: string): number {
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > limitMax)
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${limitMax}.`);
  return limit;
}

export function parseCount(text: string): number {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 0 or more.');
  return Number(text);
}

export function parseMs(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms > 2 ** 31 - 1) throw new InvalidArgumentError(`Expected ${durationExpected}.`);
  return ms;
}

/** An option in milliseconds whose default help shows as people write it: `30s`, not 30000. */
export function durationOption(flags: string, description: string, otherwise: string): Option {
  return new Option(flags, description).argParser(parseMs).default(parseMs(otherwise), otherwise);
}

export function configOption(): Option {
  return new Option('-c, --config <file>', 'configuration file (default: OUTBOX_CONFIG, else outbox.yaml)');
}

/** For what is compared with clocks and feeds no timer: up to ten years. */
export function parseLongMs(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms > 3650 * 86_400_000)
    throw new InvalidArgumentError(`Expected ${durationExpected}, at most 3650d.`);
  return ms;
}

/** A duration, as it was written. */
export function parseDurationText(text: string): string {
  if (parseDuration(text) === null) throw new InvalidArgumentError(`Expected ${durationExpected}.`);
  return text;
}

/** The number of a dead letter. */
export function parseDeadLetterId(text: string): number {
  const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(id))
    throw new InvalidArgumentError('Expected the number of a dead letter, as dlq list shows it.');
  return id;
}

/** The number of a redrive. */
export function parseRedriveId(text: string): number {
  const id = Number(text);
  if (!/^\d{1,15}$/.test(text) || id < 1)
    throw new InvalidArgumentError('It is the number of a redrive, as redrive list shows it.');
  return id;
}

export const idsMax = 1000;

/** Commander hands over one at a time. */
export function collectDeadLetterId(text: string, previous: number[] | undefined): number[] {
  const ids = [...(previous ?? []), parseDeadLetterId(text)];
  if (ids.length > idsMax) throw new InvalidArgumentError(`At most ${idsMax} ids; use a filter for more.`);
  return [...new Set(ids)];
}

/** A cause, as `dlq causes` shows it. */
export function parseCause(text: string): string {
  if (!/^[0-9a-f]{12}$/i.test(text))
    throw new InvalidArgumentError(
      'Expected the id of a cause, as dlq causes shows it: 12 digits, 0-9 and a-f.',
    );
  return text.toLowerCase();
}

export function parseEventId(text: string): string {
  if (!isUuid(text)) throw new InvalidArgumentError('Expected an event id (a UUID).');
  return text.toLowerCase();
}

/** Of a replay. */
export function parseReplayId(text: string): string {
  if (!isUuid(text))
    throw new InvalidArgumentError('Expected the id of a replay (a UUID), as routes replay list shows it.');
  return text.toLowerCase();
}

/** A number a second. */
export function parseRate(text: string): number {
  const rate = /^\d{1,5}(\.\d{1,2})?$/.test(text) ? Number(text) : 0;
  if (!isRate(rate))
    throw new InvalidArgumentError(`Expected a number a second, from ${rates.minimum} to ${rates.maximum}.`);
  return rate;
}

/** Commander hands over one at a time. */
export function collectEventId(text: string, previous: string[] | undefined): string[] {
  const ids = [...(previous ?? []), parseEventId(text)];
  if (ids.length > idsMax) throw new InvalidArgumentError(`At most ${idsMax} ids.`);
  return [...new Set(ids)];
}

/** Where a server of ours listens. Not null for `off`: Commander takes that for an option without a value. */
export function parseListenOrOff(text: string): ListenAddress | 'off' {
  if (text === 'off') return text;
  const address = parseListen(text);
  if (address === null) throw new InvalidArgumentError(`Expected ${listenExpected}, or off.`);
  return address;
}

export function parseListenAddress(text: string): ListenAddress {
  const address = parseListen(text);
  if (address === null) throw new InvalidArgumentError(`Expected ${listenExpected}.`);
  return address;
}

export function parseDestination(text: string): string {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(text)) {
    throw new InvalidArgumentError('Expected the name of a destination: lower case letters, digits and -.');
  }
  return text;
}

/** Why a delivery may be parked. */
export const parkReasons = [
  ...['permanent', 'attempts-exhausted', 'schedule-to-close', 'poison', 'unwritten', 'paused'],
  ...['terminated', 'canceled', 'failed'],
];

export function parseParkReason(text: string): string {
  if (!parkReasons.includes(text))
    throw new InvalidArgumentError(`Expected one of ${parkReasons.join(', ')}.`);
  return text;
}

/** For actor, reason and the like; the limits are the workflow's own. */
export function textOf(charactersMax: number): (text: string) => string {
  return (text) => {
    if (text.trim() === '' || text.length > charactersMax || text.includes('\0'))
      throw new InvalidArgumentError(`Expected a text of 1 to ${charactersMax} characters.`);
    return text;
  };
}

/** As {@link textOf}, and the empty text, which takes away what was there. */
export function noteOf(charactersMax: number): (text: string) => string {
  const notEmpty = textOf(charactersMax);
  return (text) => (text === '' ? text : notEmpty(text));
}

export function collectHeader(
  text: string,
  previous: Record<string, string> | undefined,
): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=value.');
  // Built from entries: `__proto__` becomes a header like any other, not a prototype.
  return Object.fromEntries([...Object.entries(previous ?? {}), [text.slice(0, at), text.slice(at + 1)]]);
}

/** A moment (ISO 8601 with its offset, so that nobody has to guess the zone) or a duration from now. */
export function parseMoment(text: string): Date {
  return momentOf(text, 'from now', 1);
}

/** As {@link parseMoment}, the duration counting back. */
export function parsePast(text: string): Date {
  return momentOf(text, 'ago', -1);
}

function momentOf(text: string, counted: string, direction: 1 | -1): Date {
  const ms = momentMs(text, Date.now(), direction);
  if (ms === null)
    throw new InvalidArgumentError(
      `Expected a moment between 1970 and the year 9999 such as 2030-01-31T08:00:00Z or 2030-01-31T09:00+01:00, or a duration such as 10m, which is 10 minutes ${counted}.`,
    );
  return new Date(ms);
}

export const payloadBytesMax = 1024 * 1024;

export interface PayloadSource {
  readonly payload?: string;
  readonly file?: string;
}

/** The JSON text that was given, untouched: digits beyond 2^53 survive. Undefined when none was given. */
export async function readPayload(
  { payload, file }: PayloadSource,
  stdin: 'read' | 'ignore',
): Promise<string | undefined> {
  if (payload !== undefined && file !== undefined) refuseUsage('give --payload or --file, not both');
  if (payload !== undefined) return checkedJson(payload, '--payload');
  if (file !== undefined && file !== '-') return checkedJson(await readFileText(file), file);
  if (file === '-' || (stdin === 'read' && process.stdin.isTTY !== true))
    return checkedJson(await readStdin(), 'stdin');
  return undefined;
}

/** PostgreSQL prints jsonb with spaces, so what is larger than this never fits; the exact limit is the database's. */
const inputBytesMax = 4 * payloadBytesMax;

export function checkedJson(text: string, where: string): string {
  if (text.trim() === '') refuseUsage(`${where} is empty; expected JSON`);
  if (Buffer.byteLength(text) > inputBytesMax)
    refuseUsage(`${where} is larger than ${inputBytesMax} bytes; a payload has at most ${payloadBytesMax}`);
  try {
    JSON.parse(text);
  } catch (error) {
    refuseUsage(`${where} is not JSON: ${(error as Error).message.split('\n')[0] ?? ''}`);
  }
  return text;
}

async function readFileText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > inputBytesMax) refuseUsage(`${path} is larger than ${inputBytesMax} bytes`);
    return decode(await readFile(path), path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || code.startsWith('OUTBOX_')) throw error;
    return refuseUsage(`${path} cannot be read (${code})`);
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > inputBytesMax) refuseUsage(`stdin is larger than ${inputBytesMax} bytes`);
  }
  return decode(Buffer.concat(chunks), 'stdin');
}

/** A byte-order mark is no part of JSON; bytes that are no UTF-8 must not become `\ufffd` unnoticed. */
function decode(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuseUsage(`${where} is not UTF-8 text`);
  }
}
