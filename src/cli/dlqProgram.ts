import { Option, type Command } from 'commander';
import {
  collectDeadLetterId,
  collectHeader,
  durationOption,
  idsMax,
  limitMax,
  noteOf,
  parseCause,
  parseDeadLetterId,
  parseDestination,
  parseEventId,
  parseLimit,
  parseParkReason,
  textOf,
} from './arguments.ts';
import type { BulkOptions } from './dlq/bulk.ts';
import type { EditOptions } from './dlq/edit.ts';
import type { CauseOptions, CausesOptions } from './dlq/causes.ts';
import type { ListOptions } from './dlq/list.ts';
import type { RedirectOptions } from './dlq/redirect.ts';
import type { Output } from './output.ts';
import type { SetExitCode } from './exitCode.ts';
import { addFilters, addNarrowing, addPace } from './redrive/options.ts';
import { addWho } from './who.ts';

/** `dlq …`; what the commands do is in dlq/. */
export function addDeadLetterCommands(dlq: Command, out: Output, setExitCode: SetExitCode): void {
  addReading(dlq, out);
  addCauses(dlq, out);
  addBulk(dlq, out, setExitCode);
  addSingle(dlq, out, setExitCode);
}

const statuses = ['open', 'resolved', 'all'] as const;

function addReading(dlq: Command, out: Output): void {
  addNarrowing(dlq.command('list').description('list dead letters, newest first'))
    // What it was called before: elsewhere `--reason` says why a command is given.
    .addOption(new Option('--reason <reason>').argParser(parseParkReason).hideHelp())
    .option('--event <id>', 'only those of this event', parseEventId)
    .addOption(new Option('--status <status>', 'which ones').choices(statuses).default('open'))
    .option('--limit <n>', `at most so many, up to ${limitMax}`, parseLimit, 50)
    .option('--cursor <cursor>', 'continue where the page before ended', textOf(500))
    .action(async (options: ListOptions) => (await import('./dlq/list.ts')).list(out, options));
  dlq
    .command('show')
    .description('everything about one dead letter')
    .argument('<id>', 'its number', parseDeadLetterId)
    .action(async (id: number) => (await import('./dlq/show.ts')).show(out, id));
}

function addCauses(dlq: Command, out: Output): void {
  dlq
    .command('causes')
    .description('why they are parked: letters of one destination, status and error together, most first')
    .option('--destination <name>', 'only those of this destination', parseDestination)
    .option('--all', 'also causes without an open letter')
    .option('--limit <n>', `at most so many, up to ${limitMax}`, parseLimit, 50)
    .action(async (options: CausesOptions) => (await import('./dlq/causes.ts')).causes(out, options));
  dlq
    .command('cause')
    .description('one cause, and the note and owner that people give it')
    .argument('<id>', 'as dlq causes shows it', parseCause)
    .option('--note <text>', "what is known of it; '' takes it away", noteOf(1000))
    .option('--owner <name>', "who looks after it; '' for nobody", noteOf(100))
    .option('--actor <name>', 'who says so, for the audit (default: the user of this machine)', textOf(200))
    .action(async (id: string, options: CauseOptions) =>
      (await import('./dlq/causes.ts')).cause(out, id, options),
    );
}

function addRedriving(command: Command): Command {
  return addWho(
    addPace(command)
      .option('--yes', 'start it, when they are named by filter: the number of letters is right')
      .option('--wait', 'until all are delivered, or parked again, with progress; --timeout at most'),
    durationOption('--timeout <duration>', 'how long to wait for an answer', '30s'),
  );
}

function addBulk(dlq: Command, out: Output, setExitCode: SetExitCode): void {
  const descriptions = {
    retry: 'send it again: the policy starts afresh, the idempotency key stays',
    discard: 'give it up, for the record; several need --reason',
  };
  for (const action of ['retry', 'discard'] as const) {
    const command = dlq
      .command(action)
      .description(`${descriptions[action]}. With a filter: a redrive`)
      .argument('[ids...]', `numbers of dead letters, up to ${idsMax}`, collectDeadLetterId);
    addRedriving(addFilters(command)).action(async (ids: number[], options: BulkOptions) =>
      setExitCode(await (await import('./dlq/each.ts')).each(out, action, ids, options)),
    );
  }
}

function addSingle(dlq: Command, out: Output, setExitCode: SetExitCode): void {
  const edit = dlq
    .command('edit')
    .description('correct the payload or headers and send it under a new key; the original is kept')
    .argument('[id]', 'its number', parseDeadLetterId)
    .option('-p, --payload <json>', 'the new payload, kept digit for digit')
    .option('-f, --file <file>', 'read the new payload from a file, - for stdin')
    .option('--payload-file <file>', 'of an event of bytes the new ones: those of a file, - for stdin')
    .option('--payload-base64 <text>', 'of an event of bytes the new ones, in base64')
    .option('-H, --header <name=value>', 'set a header; repeatable, the others stay', collectHeader)
    .option('--editor', 'open its payload in $VISUAL or $EDITOR; so does a terminal where nothing is given');
  addFilters(edit, 'payload').option('--patch <json>', 'of many: one JSON Patch for all', textOf(100_000));
  addRedriving(edit).action(async (id: number | undefined, options: EditOptions) =>
    setExitCode(await (await import('./dlq/edit.ts')).edit(out, id, options)),
  );
  const redirect = dlq
    .command('redirect')
    .description('send it to another destination instead')
    .argument('[id]', 'its number', parseDeadLetterId)
    .requiredOption('--to <name>', 'the other destination', parseDestination);
  addRedriving(addFilters(redirect)).action(async (id: number | undefined, options: RedirectOptions) =>
    setExitCode(await (await import('./dlq/redirect.ts')).redirect(out, id, options)),
  );
}
