import { InvalidArgumentError, Option, type Command } from 'commander';
import {
  collectDeadLetterId,
  limitMax,
  parseCause,
  parseDestination,
  parseLimit,
  parseRedriveId,
  textOf,
} from './arguments.ts';
import { resolutionActions } from '../core/command.ts';
import type { Output } from './output.ts';
import type { SetExitCode } from './exitCode.ts';
import type { AskOptions, StartOptions } from './redrive/ask.ts';
import type { CommandOptions } from './redrive/command.ts';
import type { StatusOptions } from './redrive/status.ts';

/** `redrive …`; what the commands do is in redrive/. */
export function addRedriveCommands(redrive: Command, out: Output, setExitCode: SetExitCode): void {
  addRequest(
    redrive.command('preview').description('freeze which dead letters match, and show them; nothing is sent'),
  ).action(async (options: AskOptions) => (await import('./redrive/ask.ts')).preview(out, options));
  addRequest(
    redrive
      .command('start')
      .description('start a previewed redrive, or preview one and start it with --yes')
      .argument('[id]', 'number of a previewed one', parseRedriveId),
  )
    .option('--yes', 'start it: the number of letters is right')
    .option('--follow', 'stay until it is over, with its progress')
    .action(async (id: number | undefined, options: StartOptions) =>
      setExitCode(await (await import('./redrive/ask.ts')).start(out, id, options)),
    );
  redrive
    .command('status')
    .description('how far it is, and what became of its letters')
    .argument('<id>', 'its number', parseRedriveId)
    .option('--members', 'each letter, too')
    .option('--follow', 'stay until it is over')
    .action(async (id: number, options: StatusOptions) =>
      setExitCode(await (await import('./redrive/status.ts')).status(out, id, options)),
    );
  redrive
    .command('list')
    .description('redrives, newest first')
    .option('--limit <n>', `at most so many, up to ${limitMax}`, parseLimit, 20)
    .action(async (options: { limit: number }) => (await import('./redrive/status.ts')).list(out, options));
  const commands = {
    pause: 'let nothing more go for now',
    resume: 'go on',
    cancel: 'end it; what was not let go stays parked',
  } as const;
  for (const action of ['pause', 'resume', 'cancel'] as const) {
    addWho(
      redrive.command(action).description(commands[action]).argument('<id>', 'its number', parseRedriveId),
    ).action(async (id: number, options: CommandOptions) =>
      (await import('./redrive/command.ts')).command(out, action, id, options),
    );
  }
}

function addWho(command: Command): Command {
  return command
    .option('--reason <text>', 'why, for the audit', textOf(1000))
    .option('--actor <name>', 'who, for the audit (default: the user of this machine)', textOf(200));
}

function addRequest(command: Command): Command {
  command
    .option('--destination <name>', 'only letters for this destination', parseDestination)
    .option('--cause <id>', 'only those of this cause, as dlq causes shows it', parseCause)
    .option('--type <pattern>', 'only this event type; * stands for anything', textOf(255))
    .option('--key <key>', 'only those of events with this key', textOf(1000))
    .option('--since <time>', 'only those parked since then: 2026-11-29T03:00:00Z, or 2h ago', textOf(60))
    .option('--until <time>', 'only those parked before', textOf(60))
    .option('--status <status>', 'only those whose last answer had this status', numberOf(100, 999))
    .option('--text <text>', 'only those with this in their last error', textOf(1000))
    .option('--payload <jsonpath>', 'only those whose payload fulfils this: $.total > 100', textOf(1000))
    .option('--parked-for <reason>', 'only those parked for this reason, such as permanent', textOf(63))
    .option('--letter <ids...>', 'these dead letters', collectDeadLetterId)
    .option('--all', 'all open dead letters')
    .addOption(
      new Option('--action <action>', 'what is done with them').choices(resolutionActions).default('retry'),
    )
    .option('--patch <json>', 'edit: one JSON Patch for every payload', textOf(100_000))
    .option('--to <name>', 'redirect: the other destination', parseDestination)
    .option('--steps <sizes>', 'sizes of the first steps, each answered before the next: 1,5,50', parseSteps)
    .option('--rate <n>', 'letters a second, at most', parseRate)
    .option('--max-failures <share>', 'stop when more than this share fails again', textOf(10), '10%');
  return addWho(command);
}

function numberOf(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most))
      throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
    return value;
  };
}

function parseSteps(text: string): number[] {
  const sizes = text.split(',').map((part) => (/^\d{1,6}$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (sizes.some((size) => !(size >= 1 && size <= 100_000)) || sizes.length > 100)
    throw new InvalidArgumentError('It is a list of sizes from 1 to 100000, such as 1,5,50.');
  return sizes;
}

function parseRate(text: string): number {
  const rate = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(rate > 0 && rate <= 10_000))
    throw new InvalidArgumentError('It is letters a second, above 0 and at most 10000.');
  return rate;
}
