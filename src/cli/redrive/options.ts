/** Options of what becomes a redrive: `redrive preview|start`, and `dlq retry|edit|redirect|discard` of what a filter matches. */
import { InvalidArgumentError, type Command } from 'commander';
import {
  collectDeadLetterId,
  parkReasons,
  parseCause,
  parseDestination,
  parseParkReason,
  parseRate,
  textOf,
} from '../arguments.ts';
import type { RedriveRequest } from '../../redrive/index.ts';
import type { WhoOptions } from '../who.ts';

/** Options that become a request. */
export interface RequestOptions extends Omit<RedriveRequest, 'letters' | 'reason'>, WhoOptions {
  readonly letter?: readonly number[];
}

const filters = {
  destination: ['--destination <name>', 'only letters for this destination', parseDestination],
  cause: ['--cause <id>', 'only those of this cause, as dlq causes shows it', parseCause],
  type: ['--type <pattern>', 'only this event type; * stands for anything', textOf(255)],
  key: ['--key <key>', 'only those of events with this key', textOf(1000)],
  since: ['--since <time>', 'only those parked since then: 2026-11-29T03:00:00Z, or 2h ago', textOf(60)],
  until: ['--until <time>', 'only those parked before', textOf(60)],
  status: ['--status <status>', 'only those whose last answer had this status', parseStatus],
  text: ['--text <text>', 'only those with this in their last error', textOf(1000)],
  payload: ['--payload <jsonpath>', 'only those whose payload fulfils this: $.total > 100', textOf(1000)],
  parkedFor: [
    '--parked-for <reason>',
    `only those parked for this reason: ${parkReasons.join(', ')}`,
    parseParkReason,
  ],
  letter: ['--letter <ids...>', 'these dead letters', collectDeadLetterId],
} as const;

type FilterOption = keyof typeof filters;
const filterOptions = [...(Object.keys(filters) as FilterOption[]), 'all'] as const;
const otherOptions = ['action', 'patch', 'to', 'steps', 'rate', 'maxFailures', 'reason'] as const;

/** `without`: what the command has another meaning for. */
export function addFilters(command: Command, ...without: readonly FilterOption[]): Command {
  const names = (Object.keys(filters) as FilterOption[]).filter((name) => !without.includes(name));
  return addOptions(command, names).option('--all', 'all open dead letters');
}

/** Those that a listing takes, too. */
export function addNarrowing(command: Command): Command {
  return addOptions(command, ['destination', 'type', 'parkedFor', 'cause']);
}

function addOptions(command: Command, names: readonly FilterOption[]): Command {
  for (const name of names) {
    const [flags, description, parse] = filters[name];
    command.option(flags, description, parse as (text: string) => unknown);
  }
  return command;
}

export function addPace(command: Command): Command {
  return command
    .option('--steps <sizes>', 'sizes of the first steps, each answered before the next: 1,5,50', parseSteps)
    .option('--rate <n>', 'letters a second, at most', parseRate)
    .option('--max-failures <share>', 'stop when more than this share fails again', textOf(10), '10%');
}

/** Which of them a person gave; `all` is one. */
export function filtersGiven(options: RequestOptions): readonly string[] {
  return filterOptions.filter((name) => options[name] !== undefined);
}

export function requestOf(options: RequestOptions): RedriveRequest {
  const given = [...filterOptions, ...otherOptions].flatMap((name) =>
    options[name] === undefined ? [] : [[name === 'letter' ? 'letters' : name, options[name]]],
  );
  return Object.fromEntries(given) as RedriveRequest;
}

function parseStatus(text: string): number {
  if (!/^[1-9]\d\d$/.test(text)) throw new InvalidArgumentError('It is a whole number from 100 to 999.');
  return Number(text);
}

function parseSteps(text: string): number[] {
  const sizes = text.split(',').map((part) => (/^\d{1,6}$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (sizes.some((size) => !(size >= 1 && size <= 100_000)) || sizes.length > 100)
    throw new InvalidArgumentError('It is a list of sizes from 1 to 100000, such as 1,5,50.');
  return sizes;
}
