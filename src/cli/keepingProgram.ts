import type { Command } from 'commander';
import { collectEventId, parseEventId, textOf } from './arguments.ts';
import type { EraseOptions } from './commands/erase.ts';
import type { Output } from './output.ts';

/** `events …`, `erase`, `housekeeping …` */
export function addKeepingCommands(program: Command, out: Output): void {
  program
    .command('events')
    .description('events: see what became of one')
    .command('show')
    .description('the whole story of one event: deliveries, attempts, dead letters, edits, commands')
    .argument('<id>', 'its id', parseEventId)
    .action(async (id: string) => (await import('./events/show.ts')).show(out, id));
  program
    .command('erase')
    .description(
      'erase payload, headers, key, edits and answers of events and half messages; the audit stays',
    )
    .option('--event <id>', 'this event or half message; repeatable', collectEventId)
    .option('--key <key>', 'every event of this key; reads all events', textOf(1024))
    .option('--reason <text>', 'why, for the audit', textOf(1000))
    .option('--actor <name>', 'who, for the audit (default: the user of this machine)', textOf(200))
    .option('--yes', 'do it, when they are named by key')
    .action(async (options: EraseOptions) => (await import('./commands/erase.ts')).erase(out, options));
  const housekeeping = program.command('housekeeping').description('dropping days past their retention');
  housekeeping
    .command('run')
    .description('one pass, here and now; a Temporal Schedule makes one every hour')
    .action(async () => (await import('./commands/housekeeping.ts')).runPass(out));
  housekeeping
    .command('show')
    .description('the schedule, the latest pass, and what is past its retention')
    .action(async () => (await import('./commands/housekeeping.ts')).showHousekeeping(out));
}
