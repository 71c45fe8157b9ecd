import { Option, type Command } from 'commander';
import { limitMax, parseDestination, parseEventId, parseLimit, textOf } from './arguments.ts';
import type { SetExitCode } from './exitCode.ts';
import type { ListOptions } from './messages/list.ts';
import type { SettleOptions } from './messages/settle.ts';
import type { Output } from './output.ts';

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
    messages
      .command(action)
      .description(description)
      .argument('<id>', 'its id', parseEventId)
      .option('--reason <text>', 'why, for the audit', textOf(1000))
      .option('--actor <name>', 'who (default: your user name)', textOf(200))
      .action(async (id: string, options: SettleOptions) =>
        setExitCode(await (await import('./messages/settle.ts')).settle(out, action, id, options)),
      );
  }
}
