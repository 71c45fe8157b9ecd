/** docs/errors.md and the catalogue in src/errors.ts say the same. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError } from '../../src/settings/findings.ts';
import { errorCatalogue, type ErrorCode } from '../../src/errors.ts';
import { everythingRaised } from './raised.ts';

const repository = join(import.meta.dirname, '..', '..');
const page = await readFile(join(repository, 'docs', 'errors.md'), 'utf8');
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.split('\n', 1)[0] ?? '', section]),
);

/** What the command line calls an error that has no code of ours. */
const unexpected = 'OUTBOX_UNEXPECTED';

test('every code is documented, and no other', () => {
  expect([...sections.keys()].sort()).toEqual([...Object.keys(errorCatalogue), unexpected].sort());
});

test.each(Object.keys(errorCatalogue) as ErrorCode[])(
  '%s: when, its exit code, an example, how to solve it',
  (code) => {
    const { when, exitCode } = errorCatalogue[code];
    const section = sections.get(code) ?? '';
    expect(section).toContain(`**When:** ${when}. Exit code ${exitCode}.`);
    expect(section).toContain(`\`\`\`text\nerror ${code} `);
    expect(/\*\*To solve it:\*\* (.{40,})/.exec(section)).not.toBeNull();
  },
);

/** What a refused file comes to, under whichever code its problems share. */
const refusal = new ConfigError('outbox.yaml', []);
const ofFiles = ['OUTBOX_CONFIG_INVALID', 'OUTBOX_SECRET_MISSING', 'OUTBOX_VARIABLE_CLOSED'].map((code) => ({
  code,
  place: 'ConfigError',
  message: /^outbox\.yaml is refused, \d+ problems?:\n {2}outbox\.yaml:\d+:\d+ {2}/,
  hint: new RegExp(`^${refusal.hint?.replace(/[.`]/g, '\\$&')}$`),
}));
const raised = [...(await everythingRaised()), ...ofFiles];

/** The terminal's lines: the message, and below it, two spaces in, the hint. Problems of a file are lines of the message. */
function shownFor(code: string): { message: string; hint: string | null } {
  const [, text = ''] =
    new RegExp(`\`\`\`text\nerror ${code} ([\\s\\S]*?)\n\`\`\``).exec(sections.get(code) ?? '') ?? [];
  const lines = text.split('\n');
  const last = lines.at(-1) ?? '';
  const isHint = lines.length > 1 && last.startsWith('  ') && !/^  \S+:\d+:\d+ /.test(last);
  return isHint
    ? { message: lines.slice(0, -1).join('\n'), hint: last.trim() }
    : { message: text, hint: null };
}

test.each(Object.keys(errorCatalogue) as ErrorCode[])(
  '%s: its example, hint included, is what some place of the code says',
  (code) => {
    const { message, hint } = shownFor(code);
    const places = raised.filter((each) => each.code === code);
    const fitting = places.filter(
      (each) => each.message.test(message) && (hint === null ? each.hint === null : each.hint?.test(hint)),
    );
    expect(
      fitting.length,
      `${message}\n  ${hint}\nfits none of\n${places.map((each) => `${each.place} ${each.message} ${each.hint}`).join('\n')}`,
    ).toBeGreaterThan(0);
  },
);

test('a hint that the code does not give would be noticed', () => {
  const places = raised.filter(({ code }) => code === 'OUTBOX_NO_ANSWER');
  expect(places.length).toBeGreaterThan(1);
  expect(places.some(({ hint }) => hint === null || hint.test('Start one.'))).toBe(false);
  expect(places.some(({ message }) => message.test('no answer: nobody is there'))).toBe(false);
});

test('the code raises no other codes than these', async () => {
  const used = new Set<string>();
  for (const folder of ['src', 'activities', 'workflows']) {
    for (const name of await readdir(join(repository, folder), { recursive: true })) {
      if (!name.endsWith('.ts')) continue;
      const text = await readFile(join(repository, folder, name), 'utf8');
      for (const [, code = ''] of text.matchAll(/(?:Error\(\s*|code: |code = )'(OUTBOX_[A-Z_]+)'/g))
        used.add(code);
    }
  }
  expect(used.size).toBeGreaterThan(10);
  expect([...used].filter((code) => !sections.has(code))).toEqual([]);
});
