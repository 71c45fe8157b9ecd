import { Option, type Command } from 'commander';
import { limitMax, parseDestination, parseEventId, parseLimit } from './arguments.ts';
import type { SetExitCode } from './exitCode.ts';
import type { ListOptions } from './messages/list.ts';
import type { Output } from './output.ts';
import { addWho, type WhoOptions } from './who.ts';

const statuses = ['open', 'parked', 'settled', 'all'] as const;

const settling = [
  ['commit', 'deliver it: the producer’s transaction was committed'],
  ['rollback', 'give it up: it was not'],
  ['check', 'ask the producer again, its schedule from the beginning'],
] as const;

/** `messages …`; what the commands do is in messages/. */
export function addMessageCommands(messages: Command, out: Output, setExitCode: SetExitCode): void {
  messages
    .command('list')
    .description('half messages, newest first')
    .addOption(new Option('--status <status>', 'which').choices(statuses).default('open'))
    .option('--producer <name>', 'only those of this producer', parseDestination)
    .option('--limit <n>', `how many, 1 to ${limitMax}`, parseLimit, 50)
    .option('--before <id>', 'only those older than this one: the next page', parseEventId)
    .action(async (options: ListOptions) => (await import('./messages/list.ts')).list(out, options));
  messages
    .command('show')
    .description('one half message: state, content, commands')
    .argument('<id>', 'its id', parseEventId)
    .action(async (id: string) => (await import('./messages/show.ts')).show(out, id));
  for (const [action, description] of settling) {
    addWho(messages.command(action).description(description).argument('<id>', 'its id', parseEventId)).action(
      async (id: string, options: WhoOptions) =>
        setExitCode(await (await import('./messages/settle.ts')).settle(out, action, id, options)),
    );
  }
}
