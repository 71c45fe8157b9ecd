import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';

/** What a command of the CLI says about itself in its help. */
interface CommandHelp {
  readonly subcommands: readonly string[];
  /** `--config`, `-c`, … */
  readonly options: readonly string[];
}

const program = createProgram(false, () => undefined);

/** @param path the words of a command that exists, such as `['dlq', 'list']` */
function helpOf(path: readonly string[]): CommandHelp {
  const command = path.reduce<Command | undefined>(
    (parent, word) => parent?.commands.find((each) => each.name() === word),
    program,
  );
  if (command === undefined) return { subcommands: [], options: [] };
  const help = command.createHelp();
  return {
    subcommands: help.visibleCommands(command).map((each) => each.name()),
    options: help.visibleOptions(command).flatMap(({ short, long }) => [short ?? [], long ?? []].flat()),
  };
}

/** What of these words, the name of the program left out, the CLI does not have. Arguments are not looked at. */
export function unknownIn(words: readonly string[]): string[] {
  const path: string[] = [];
  while (helpOf(path).subcommands.includes(words[path.length] ?? '')) path.push(words[path.length] ?? '');
  const { subcommands, options } = helpOf(path);
  const next = words[path.length];
  // Left alone: placeholders, as in `config check|explain|apply` or `COMMAND --help`.
  const isPlaceholder = next === undefined || /^-|[|…<A-Z]/.test(next);
  const strange = words.filter((word) => /^--?[a-z]/i.test(word)).map((word) => word.split('=')[0] ?? word);
  return [
    ...(subcommands.length > 0 && !isPlaceholder ? [`no command ${next}`] : []),
    ...strange.filter((option) => !options.includes(option)).map((option) => `no option ${option}`),
  ];
}
