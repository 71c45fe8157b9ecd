import { Option, type Command } from 'commander';
import {
  collectEventId,
  limitMax,
  parseDestination,
  parseEventId,
  parseLimit,
  parsePast,
  textOf,
} from './arguments.ts';
import type { EraseOptions } from './commands/erase.ts';
import type { EventListOptions } from './events/list.ts';
import { shownStates } from './events/states.ts';
import type { Output } from './output.ts';

/** `events …`, `erase`, `housekeeping …` */
export function addKeepingCommands(program: Command, out: Output): void {
  addEventCommands(
    program.command('events').description('events: find them, and see what became of one'),
    out,
  );
  program
    .command('erase')
    .description(
      'erase payload, headers, key, edits and answers of events and half messages; the audit stays',
    )
    .option('--event <id>', 'this event or half message; repeatable', collectEventId)
    .option('--key <key>', 'every event of this key', textOf(1024))
    .option('--reason <text>', 'why, for the audit', textOf(1000))
    .option('--actor <name>', 'who, for the audit (default: the user of this machine)', textOf(200))
    .option('--yes', 'do it: needed with a key, and at a terminal')
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

function addEventCommands(events: Command, out: Output): void {
  events
    .command('list')
    .description('list events, newest first, and where each one stands')
    .option('--key <key>', 'only those of this key, such as an order id', textOf(1024))
    .option('--type <pattern>', 'only this event type; * stands for anything', textOf(255))
    .option(
      '--since <moment>',
      'only those written since: 2030-01-31T08:00:00Z, or 2h for two hours ago',
      parsePast,
    )
    .addOption(
      new Option('--state <state>', 'only those with a delivery that stands so').choices(shownStates),
    )
    .option('--destination <name>', 'only those that went to this destination', parseDestination)
    .option('--limit <n>', `at most so many, up to ${limitMax}`, parseLimit, 50)
    .option('--cursor <cursor>', 'continue where the page before ended', textOf(500))
    .action(async (options: EventListOptions) => (await import('./events/list.ts')).list(out, options));
  events
    .command('show')
    .description('the whole story of one event: deliveries, attempts, dead letters, edits, commands')
    .argument('<id>', 'its id', parseEventId)
    .action(async (id: string) => (await import('./events/show.ts')).show(out, id));
  events
    .command('schema')
    .description('the event types that outbox.yaml names, or the JSON Schema of one')
    .argument('[type]', 'an event type', textOf(255))
    .action(async (type: string | undefined) => (await import('./events/schema.ts')).schema(out, type));
}
