import { Option, type Command } from 'commander';
import {
  durationOption,
  parseDestination,
  parseLimit,
  parseRate,
  parseReplayId,
  textOf,
} from './arguments.ts';
import type { SetExitCode } from './exitCode.ts';
import type { Output } from './output.ts';
import type { ReplayOptions } from './replay/start.ts';
import { addWho, type AnsweredOptions } from './who.ts';

const descriptions = {
  pause: 'send no more of it until it is resumed',
  resume: 'begin a previewed one, or go on',
  cancel: 'end it; what was sent stays sent',
} as const;

/** `routes replay …`; what the commands do is in replay/. */
export function addReplayCommands(routes: Command, out: Output, setExitCode: SetExitCode): void {
  const replay = routes
    .command('replay')
    .description(
      'send events of before: those that no route took, or, with --to, to a destination that did not get them; a preview without --yes',
    )
    .enablePositionalOptions()
    .option('--type <pattern>', "event types, as the routes' match: order.*", textOf(255))
    .option('--since <moment>', 'written since then: 2030-01-31T08:00:00Z, or 2d ago', textOf(40))
    .option('--until <moment>', 'written until then (default: now)', textOf(40))
    .option('--key <key>', 'events of this key alone', textOf(1024))
    .option('--all', 'everything that is kept')
    .option('--to <destination>', 'send them there (default: where the routes say now)', parseDestination)
    .option('--rate <number>', 'events a second (default: 100)', parseRate)
    .addOption(
      new Option(
        '--late <what>',
        'an event whose destination keeps order and got a newer one of its key (default: skip)',
      ).choices(['skip', 'send']),
    )
    .option('--yes', 'begin at once')
    .addOption(new Option('--json', 'for programs: JSON on stdout, errors as JSON on stderr'));
  who(replay).action(async (options: ReplayOptions) =>
    setExitCode(await (await import('./replay/start.ts')).start(out, options)),
  );
  replay
    .command('list')
    .description('replays, the newest first')
    .option('--limit <number>', 'at most so many', parseLimit, 20)
    .action(async (options: { limit: number }) =>
      (await import('./replay/status.ts')).list(out, options.limit),
    );
  replay
    .command('status')
    .description('how far a replay is')
    .argument('<id>', 'of the replay', parseReplayId)
    .option('--watch', 'show its progress until it ends, or waits for a person')
    .action(async (id: string, options: { watch?: boolean }) =>
      (await import('./replay/status.ts')).status(out, id, options.watch === true),
    );
  for (const action of ['pause', 'resume', 'cancel'] as const) {
    who(
      replay
        .command(action)
        .description(descriptions[action])
        .argument('<id>', 'of the replay', parseReplayId),
    ).action(async (id: string, options: AnsweredOptions) =>
      setExitCode(await (await import('./replay/operate.ts')).operate(out, action, id, options)),
    );
  }
}

function who(command: Command): Command {
  return addWho(command, durationOption('--timeout <duration>', 'how long to wait for an answer', '60s'));
}
