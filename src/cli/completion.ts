/** Scripts that complete commands and options in a shell, made from the commands themselves: nothing is run while one types. */
import type { Command } from 'commander';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Place {
  /** Words of the command, none for the program itself. */
  readonly path: readonly string[];
  readonly subcommands: readonly (readonly [name: string, description: string])[];
  readonly options: readonly (readonly [flag: string, description: string])[];
  /** Options that take one of a few words: `--shell`'s choices. */
  readonly choices: readonly (readonly [flag: string, words: readonly string[]])[];
}

export function completionScript(program: Command, shell: Shell): string {
  const places = placesOf(program, []);
  if (shell === 'fish') return fishScript(places);
  // zsh runs completions of bash by its own bashcompinit; there `path` is a variable of the shell's.
  const head = shell === 'zsh' ? 'autoload -Uz bashcompinit && bashcompinit\n' : '';
  return `${head}${bashScript(places)}`;
}

function placesOf(command: Command, path: readonly string[]): Place[] {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  const options = help.visibleOptions(command);
  const flagOf = (option: (typeof options)[number]): string => option.long ?? option.short ?? '';
  return [
    {
      path,
      subcommands: subcommands.map((each) => [each.name(), each.description()]),
      options: options.map((option) => [flagOf(option), option.description]),
      choices: options.flatMap((option) =>
        option.argChoices === undefined ? [] : [[flagOf(option), option.argChoices] as const],
      ),
    },
    ...subcommands.flatMap((each) => placesOf(each, [...path, each.name()])),
  ];
}

function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ path, subcommands, options }) => {
    const words = [...subcommands.map(([name]) => name), ...options.map(([flag]) => flag)];
    return `    '${path.join(' ')}') words='${words.join(' ')}' ;;`;
  });
  const commands = places.map(({ path }) => `'${path.join(' ')}'`).join('|');
  const values = new Map(
    places.flatMap(({ path, choices }) =>
      choices.map(([flag, words]) => [`${path.join(' ')} ${flag}`, words]),
    ),
  );
  const valueCases = [...values].map(([at, words]) => `    '${at}') words='${words.join(' ')}' ;;`);
  return `# temporal-outbox completion: eval "$(temporal-outbox completion bash)"
_temporal_outbox() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" place='' words='' word next
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do
    next="\${place:+$place }$word"
    case "$next" in ${commands}) place="$next" ;; esac
  done
  case "$place" in
${cases.join('\n')}
  esac
  case "$place $prev" in
${valueCases.join('\n')}
    *' --config'|*' --env-file'|*' --file'|*' --payload-file') COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _temporal_outbox temporal-outbox
`;
}

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, subcommands, options, choices }) => {
    const at = `__temporal_outbox_at ${quoted(path.join(' '))}`;
    const words = new Map(choices);
    return [
      ...subcommands.map(
        ([name, text]) =>
          `complete -c temporal-outbox -f -n ${quoted(at)} -a ${quoted(name)} -d ${quoted(text)}`,
      ),
      ...options.map(([flag, text]) => {
        const list = words.get(flag);
        const values = list === undefined ? '' : ` -x -a ${quoted(list.join(' '))}`;
        return `complete -c temporal-outbox -n ${quoted(at)} -l ${flag.replace(/^--/, '')} -d ${quoted(text)}${values}`;
      }),
    ];
  });
  const known = places.map(({ path }) => quoted(path.join(' '))).join(' ');
  return `# temporal-outbox completion: temporal-outbox completion fish | source
function __temporal_outbox_at
  set -l path ''
  for word in (commandline -opc)[2..]
    set -l next (string trim -- "$path $word")
    contains -- $next ${known}; and set path $next
  end
  test "$path" = "$argv[1]"
end
${lines.join('\n')}
`;
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
