import { Option, type Command } from 'commander';
import { parseDestination, parseLongMs } from './arguments.ts';
import type { InboxCheckOptions, InboxMigrateOptions, InboxOptions } from './commands/inbox.ts';
import type { SetExitCode } from './exitCode.ts';
import type { Output } from './output.ts';
import { addParkedCommands } from './parkedProgram.ts';

export function addInboxCommands(inbox: Command, out: Output, setExitCode: SetExitCode): void {
  addParkedCommands(
    inbox.command('parked').description('messages of queues that wait for a person'),
    databaseOption,
    { out, setExitCode },
  );
  inbox
    .command('migrate')
    .description('create or upgrade the schema outbox_inbox')
    .addOption(databaseOption())
    .option('--retention <duration>', 'how long messages are remembered, such as 60d (new: 30d)', parseLongMs)
    .action(async (options: InboxMigrateOptions) => (await commands()).inboxMigrate(out, options));
  inbox
    .command('check')
    .description('whether the inbox remembers for as long as the sender may send')
    .addOption(databaseOption())
    .option('-c, --config <file>', "the sender's configuration file, for its longest scheduleToCloseTimeout")
    .option('-d, --destination <name>', 'of that file only this one; repeatable', collectDestination)
    .option(
      '--retry-for <duration>',
      'in place of a file: its scheduleToCloseTimeout (default: 72h)',
      parseLongMs,
    )
    .option('--parked-for <duration>', 'how long a parked message may wait (default: 14d)', parseLongMs)
    .option('--delayed-for <duration>', 'the longest deliver_at and outage (default: none)', parseLongMs)
    .action(async (options: InboxCheckOptions) => (await commands()).inboxCheck(out, options));
  inbox
    .command('maintain')
    .description('make partitions ahead, and drop what is beyond the retention')
    .addOption(databaseOption())
    .action(async (options: InboxOptions) => (await commands()).inboxMaintain(out, options));
}

const commands = () => import('./commands/inbox.ts');

function databaseOption(): Option {
  return new Option('--database-url <url>', "the consumer's database (default: OUTBOX_DATABASE_URL)");
}

function collectDestination(text: string, previous: readonly string[] = []): string[] {
  return [...previous, parseDestination(text)];
}
