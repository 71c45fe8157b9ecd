/** docs/errors.md and the catalogue in src/errors.ts say the same. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCatalogue, type ErrorCode } from '../../src/errors.ts';

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
