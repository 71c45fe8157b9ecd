import { InvalidArgumentError, Option, type Command } from 'commander';
import { collectHeader, limitMax, parseLimit, textOf } from './arguments.ts';
import type { InboxOptions } from './commands/inbox.ts';
import type { SetExitCode } from './exitCode.ts';
import type { Output } from './output.ts';
import { addWho } from './who.ts';
import type { ParkedListOptions } from './parked/read.ts';
import type { ParkedEditOptions, ParkedResolveOptions } from './parked/resolve.ts';

const states = ['parked', 'retrying', 'waiting', 'resolved'];

/** `inbox parked …` */
export function addParkedCommands(
  parked: Command,
  databaseOption: () => Option,
  { out, setExitCode }: { readonly out: Output; readonly setExitCode: SetExitCode },
): void {
  parked
    .command('list')
    .description('list what is not resolved, in the order of arrival')
    .addOption(databaseOption())
    .option('--consumer <name>', 'only those of this consumer', textOf(255))
    .addOption(new Option('--state <state>', 'only those in this state').choices(states))
    .option('--limit <n>', `at most so many, up to ${limitMax}`, parseLimit, 50)
    .option('--after <id>', 'continue where the page before ended', parseId)
    .action(async (options: ParkedListOptions) =>
      (await import('./parked/read.ts')).parkedList(out, options),
    );
  parked
    .command('show')
    .description('everything about one of them')
    .argument('<id>', 'its number', parseId)
    .addOption(databaseOption())
    .action(async (id: string, options: InboxOptions) =>
      (await import('./parked/read.ts')).parkedShow(out, id, options),
    );
  const descriptions = {
    retry: 'have a running consumer try it again, its policy begun anew',
    discard: 'give it up: it has no effect, also if it comes again; several need --reason',
  };
  for (const action of ['retry', 'discard'] as const)
    addWho(
      parked
        .command(action)
        .description(descriptions[action])
        .argument('<ids...>', 'their numbers', collectId)
        .addOption(databaseOption()),
    ).action(async (ids: string[], options: ParkedResolveOptions) =>
      setExitCode(await (await import('./parked/resolve.ts')).parkedResolve(out, action, ids, options)),
    );
  addWho(
    parked
      .command('edit')
      .description('correct its payload or headers, and have it tried again')
      .argument('<id>', 'its number', parseId)
      .addOption(databaseOption())
      .option('-p, --payload <json>', 'the new payload, kept digit for digit')
      .option('-f, --file <file>', 'read the new payload from a file, - for stdin')
      .option('--payload-file <file>', 'of a payload of bytes the new ones: those of a file, - for stdin')
      .option('--payload-base64 <text>', 'of a payload of bytes the new ones, in base64')
      .option('-H, --header <name=value>', 'set a header; repeatable, the others stay', collectHeader),
  ).action(async (id: string, options: ParkedEditOptions) =>
    setExitCode(await (await import('./parked/resolve.ts')).parkedEdit(out, id, options)),
  );
}

function parseId(text: string): string {
  if (/^\d{1,18}$/.test(text)) return text;
  throw new InvalidArgumentError('Expected a number, as inbox parked list shows it.');
}

function collectId(text: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), parseId(text)];
}
