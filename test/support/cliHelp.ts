import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** What a command of the built CLI says about itself in its help. */
export interface CommandHelp {
  readonly subcommands: readonly string[];
  /** `--config`, `-c`, … */
  readonly options: readonly string[];
}

const cli = join(import.meta.dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');
const known = new Map<string, CommandHelp>();

/** @param path the words of a command that exists, such as `['dlq', 'list']` */
export function helpOf(path: readonly string[]): CommandHelp {
  const name = path.join(' ');
  const help = known.get(name) ?? readHelp(path);
  known.set(name, help);
  return help;
}

function readHelp(path: readonly string[]): CommandHelp {
  const env = { ...process.env, COLUMNS: '200', NO_COLOR: '1' };
  const text = execFileSync(process.execPath, [cli, ...path, '--help'], { encoding: 'utf8', env });
  return {
    subcommands: [...section(text, 'Commands').matchAll(/^ {2}([a-z][\w-]*)/gm)].map(([, word = '']) => word),
    options: [...section(text, 'Options').matchAll(/(?<=^ {2}|, )--?[a-z][\w-]*/gim)].map(
      ([option]) => option,
    ),
  };
}

function section(text: string, title: string): string {
  return new RegExp(`^${title}:\\n((?:  .*\\n)*)`, 'm').exec(text)?.[1] ?? '';
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
