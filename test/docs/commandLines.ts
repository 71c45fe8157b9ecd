import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unknownIn } from '../support/cliHelp.ts';
import { repository, type Page } from './pages.ts';

const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  scripts: Readonly<Record<string, string>>;
};

/** The command lines that a page tells people to type: in shell blocks, and in `code` that begins like one. */
export function commandLinesOf({ blocks, inlineCode }: Page): string[] {
  const shells = blocks.filter(({ language }) => ['sh', 'bash', 'shell', 'console'].includes(language));
  const lines = shells.flatMap(({ text }) => text.replace(/\\\n\s*/g, ' ').split('\n'));
  return [...lines.flatMap((line) => line.split(/ && | \| |; /)), ...inlineCode]
    .map((line) => line.replace(/^\s*(\$ )?/, '').replace(/\s+#.*$/, ''))
    .map((line) => line.replace(/^([A-Z_]+=\S* )+/, '').trim())
    .filter((line) => /^(npm (run|test)|npx temporal-outbox|temporal-outbox)( |$)/.test(line));
}

/** What is wrong with one of them: a script, command or option that does not exist. Arguments may be placeholders. */
export function problemsOf(line: string): string[] {
  const words = line.split(/\s+/);
  if (words[0] === 'npm') return npmProblems(line, words);
  return cliProblems(line, words.slice(words[0] === 'npx' ? 2 : 1));
}

function npmProblems(line: string, words: readonly string[]): string[] {
  const script = words[1] === 'test' ? 'test' : (words.filter((word) => !word.startsWith('-'))[2] ?? '');
  if (scripts[script] === undefined) return [`${line}: there is no script ${script}`];
  const after = words.indexOf('--') + 1;
  if (script === 'outbox' && after > 0) return cliProblems(line, words.slice(after));
  return script === 'demo' && after > 0 ? cliProblems(line, ['demo', ...words.slice(after)]) : [];
}

function cliProblems(line: string, words: readonly string[]): string[] {
  return unknownIn(words).map((what) => `${line}: ${what}`);
}
