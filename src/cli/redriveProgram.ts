import { Option, type Command } from 'commander';
import { limitMax, parseDestination, parseLimit, parseRedriveId, textOf } from './arguments.ts';
import { resolutionActions } from '../core/command.ts';
import type { Output } from './output.ts';
import type { SetExitCode } from './exitCode.ts';
import type { StartOptions } from './redrive/ask.ts';
import { addFilters, addPace, type RequestOptions } from './redrive/options.ts';
import type { StatusOptions } from './redrive/status.ts';
import { addWho, type WhoOptions } from './who.ts';

/** `redrive …`; what the commands do is in redrive/. */
export function addRedriveCommands(redrive: Command, out: Output, setExitCode: SetExitCode): void {
  addRequest(
    redrive.command('preview').description('freeze which dead letters match, and show them; nothing is sent'),
  ).action(async (options: RequestOptions) => (await import('./redrive/ask.ts')).preview(out, options));
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
    ).action(async (id: number, options: WhoOptions) =>
      (await import('./redrive/command.ts')).command(out, action, id, options),
    );
  }
}

function addRequest(command: Command): Command {
  addFilters(command)
    .addOption(
      new Option('--action <action>', 'what is done with them').choices(resolutionActions).default('retry'),
    )
    .option('--patch <json>', 'edit: one JSON Patch for every payload', textOf(100_000))
    .option('--to <name>', 'redirect: the other destination', parseDestination);
  return addWho(addPace(command));
}
