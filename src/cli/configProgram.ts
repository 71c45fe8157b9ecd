import type { Command } from 'commander';
import { configOption } from './arguments.ts';
import type { SetExitCode } from './exitCode.ts';
import type { Output } from './output.ts';

/** `config check other.yaml` says the same as `config check --config other.yaml`. */
function fileOr<Options extends { config?: string }>(options: Options, file: string | undefined): Options {
  return file === undefined ? options : { ...options, config: file };
}

const configCommands = [
  ['explain', 'print what the file comes to: addresses, timetables of attempts, routes'],
  ['apply', 'write the file to the database as a new revision'],
] as const;

/** `config …` */
export function addConfigCommands(config: Command, out: Output, setExitCode: SetExitCode): void {
  config
    .command('check')
    .description('validate the file; with OUTBOX_DATABASE_URL also its filters')
    .argument('[file]', 'in place of --config')
    .addOption(configOption())
    .option('--online', 'ask each destination’s server whether what it names is there and of the right kind')
    .action(async (file: string | undefined, options: { config?: string; online?: boolean }) =>
      setExitCode(await (await import('./commands/config.ts')).check(out, fileOr(options, file))),
    );
  for (const [name, description] of configCommands) {
    config
      .command(name)
      .description(description)
      .argument('[file]', 'in place of --config')
      .addOption(configOption())
      .action(async (file: string | undefined, options: { config?: string }) =>
        (await import('./commands/config.ts'))[name](out, fileOr(options, file)),
      );
  }
  config
    .command('rename')
    .description(
      'give the database another name, or its first, while nothing is open in it; a preview without --yes',
    )
    .argument('[name]', 'what name: in outbox.yaml is to say')
    .option('--none', 'in place of a name: none')
    .option('--yes', 'do it')
    .action(async (name: string | undefined, options: { none?: boolean; yes?: boolean }) =>
      (await import('./commands/rename.ts')).rename(out, name, options),
    );
  config
    .command('schema')
    .description('print the JSON Schema of the file, for editors')
    .action(async () => (await import('./commands/config.ts')).schema(out));
}
