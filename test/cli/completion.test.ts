/** What the shells make of the scripts that `completion` prints. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requires } from '../support/index.ts';
import { folderWith, offline } from './commands.ts';

const path = process.env['PATH'] ?? '';

test('bash completes commands, options and their choices', async () => {
  const { stdout } = await offline(['completion', 'bash']);
  const cwd = await folderWith({ 'completion.sh': stdout });
  const complete = (...words: string[]): string[] => {
    const list = ['temporal-outbox', ...words].map((word) => `'${word}'`).join(' ');
    const script = `. ./completion.sh; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _temporal_outbox; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['--norc', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd,
      encoding: 'utf8',
      env: { PATH: path },
    })
      .split('\n')
      .filter(Boolean);
  };
  expect(complete('dl')).toEqual(['dlq']);
  expect(complete('dlq', 're')).toEqual(['retry', 'redirect']);
  expect(complete('dlq', 'list', '--sta')).toEqual(['--status']);
  expect(complete('dlq', 'list', '--status', '')).toEqual(['open', 'resolved', 'all']);
  expect(complete('config', 'check', '--config', 'comp')).toEqual(['completion.sh']);
});

test('zsh completes the same line by line, as it is typed', async () => {
  requires.program('zsh');
  const python = requires.python();
  const { stdout } = await offline(['completion', 'zsh']);
  const cwd = await folderWith({ 'completion.zsh': stdout });
  const typed = {
    'temporal-outbox dl': 'temporal-outbox dlq ',
    'temporal-outbox dlq red': 'temporal-outbox dlq redirect ',
    'temporal-outbox dlq list --sta': 'temporal-outbox dlq list --status ',
    'temporal-outbox dlq list --status op': 'temporal-outbox dlq list --status open ',
    'temporal-outbox config check --config comp': 'temporal-outbox config check --config completion.zsh ',
    'temporal-outbox nothing': 'temporal-outbox nothing',
  };
  const script = join(import.meta.dirname, 'typeInZsh.py');
  const lines = execFileSync(python, [script, './completion.zsh', ...Object.keys(typed)], {
    cwd,
    encoding: 'utf8',
    env: { PATH: path, TERM: 'dumb', HOME: cwd },
  });
  expect(JSON.parse(lines)).toEqual(Object.values(typed));
});

test('fish completes the same, with what each word is for', async () => {
  const fish = requires.program('fish');
  const { stdout } = await offline(['completion', 'fish']);
  const cwd = await folderWith({ 'completion.fish': stdout });
  const complete = (line: string): string[] =>
    execFileSync(fish, ['--no-config', '-c', 'source completion.fish; complete -C $argv[1]', line], {
      cwd,
      encoding: 'utf8',
      env: { PATH: path, HOME: cwd },
    })
      .split('\n')
      .filter(Boolean);
  const words = (line: string): string[] => complete(line).map((each) => each.split('\t')[0] ?? '');
  expect(words('temporal-outbox dl')).toEqual(['dlq']);
  expect(complete('temporal-outbox dlq red')).toEqual([
    expect.stringMatching(/^redirect\tsend it to another/),
  ]);
  expect(words('temporal-outbox dlq list --sta')).toEqual(['--status']);
  expect(words('temporal-outbox dlq list --status ').toSorted()).toEqual(['all', 'open', 'resolved']);
  expect(words('temporal-outbox config check --config comp')).toEqual(['completion.fish']);
});
