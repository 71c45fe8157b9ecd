import type { Command } from 'commander';
import { parseDestination, durationOption, parseDurationText } from './arguments.ts';
import type { DestinationCommandLine } from './destinations/operate.ts';
import type { DestinationTestOptions } from './destinations/test.ts';
import type { SetExitCode } from './exitCode.ts';
import type { Output } from './output.ts';
import { addWho } from './who.ts';

const descriptions = {
  pause: 'send nothing to it until it is resumed; its events wait, and lose no time',
  resume: 'send again, at once: ends a pause, closes its circuit',
  probe: 'try a few of its waiting events now',
  park: 'while it is paused: park its old pending events, all in one workflow',
} as const;

/** `destinations …`; what the commands do is in destinations/. */
export function addDestinationCommands(destinations: Command, out: Output, setExitCode: SetExitCode): void {
  destinations
    .command('list')
    .description('how each destination fares: its circuit, pauses, the next probe')
    .action(async () => (await import('./destinations/list.ts')).list(out));
  destinations
    .command('test')
    .description('send one signed ping to it, here and now, and show the answer; writes nothing down')
    .argument('<name>', 'of the destination', parseDestination)
    .option('-c, --config <file>', 'as this file has it, in place of what the database has')
    .action(async (name: string, options: DestinationTestOptions) =>
      setExitCode(await (await import('./destinations/test.ts')).testDestination(out, name, options)),
    );
  for (const action of ['pause', 'resume', 'probe', 'park'] as const) {
    const command = addWho(
      destinations
        .command(action)
        .description(descriptions[action])
        .argument('<name>', 'of the destination', parseDestination),
      durationOption('--timeout <duration>', 'how long to wait for an answer', '60s'),
    );
    if (action === 'park')
      command.requiredOption(
        '--older-than <duration>',
        'only events written before so long',
        parseDurationText,
      );
    command.action(async (name: string, options: DestinationCommandLine) =>
      setExitCode(await (await import('./destinations/operate.ts')).operate(out, action, name, options)),
    );
  }
}
