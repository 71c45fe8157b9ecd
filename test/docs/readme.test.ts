/** What README.md and docs/ show can be typed in as it stands. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { nodeVersions, oldestTemporal, postgresVersions } from '../../src/core/supported.ts';
import { commandLinesOf, problemsOf } from './commandLines.ts';
import { brokenLinks, readPages, repository } from './pages.ts';
import { typeProblemsIn } from './snippets.ts';

const pages = await readPages();

/** What snippets may use without saying where it is from: the reader's own. */
const given = `
  declare const order: { id: string; total: number };
  declare const myType: import('temporal-outbox/destination').DestinationType;
  declare function startMyServer(): Promise<any>;
  declare const databaseUrl: string;
  declare const client: import('pg').PoolClient;
  declare const pool: import('pg').Pool;
  declare const log: { debug(f: object, m: string): void; info(f: object, m: string): void; warn(f: object, m: string): void; error(f: object, m: string): void };
`;

test('its TypeScript and JavaScript is accepted by the compiler', () => {
  const blocks = pages.flatMap((page) =>
    page.blocks.filter(({ language }) => /^(ts|typescript|js)$/.test(language)),
  );
  expect(typeProblemsIn(blocks, given)).toEqual([]);
});

test('README.md is read from top to bottom: at most 220 lines, and its versions are those that doctor judges by', () => {
  const { text } = pages.find(({ path }) => path === 'README.md')!;
  expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(220);
  const { oldest, newest } = postgresVersions;
  const { engines } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  const temporal = oldestTemporal.split('.').slice(0, 2).join('.');
  expect(text).toContain(`| ${oldest} to ${newest} | ${temporal} to `);
  expect(text).toContain(` | ${engines.node.replace('>=', '')}, 22, ${nodeVersions.newest} | `);
});

test('the compiler would refuse a name that this package does not export', () => {
  const text = `import { enqueu } from 'temporal-outbox';`;
  expect(typeProblemsIn([{ place: 'here', language: 'ts', info: '', text }], given).join()).toContain(
    'enqueu',
  );
});

describe.each(pages.map((page) => [page.path, page] as const))('%s', (_, page) => {
  test('names only scripts, commands and options that exist', () => {
    expect(commandLinesOf(page).flatMap(problemsOf)).toEqual([]);
  });

  test('shows only configurations that are accepted', () => {
    const own = (name: string | symbol) => ({ value: sampleOf(String(name)), configurable: true });
    const anything = new Proxy<Record<string, string>>(
      {},
      { get: (_target, name) => own(name).value, getOwnPropertyDescriptor: (_target, name) => own(name) },
    );
    for (const { place, language, text } of page.blocks) {
      if (language !== 'yaml') continue;
      // Files of the reader's own machine.
      const here = whole(text).replace(/\bfile:\/[\w./-]+/g, 'env:A_PEM');
      expect(() => parseConfig(here, { path: place, env: anything })).not.toThrow();
    }
  });

  test('shows only JSON that is some', () => {
    for (const { place, language, text } of page.blocks)
      if (language === 'json') expect(() => JSON.parse(text) as unknown, place).not.toThrow();
  });

  test('links to files and headings that exist', () => expect(brokenLinks(page)).toEqual([]));
});

/** A section that is shown alone, in a file of its own; one that is indented belongs to a destination. */
function whole(text: string): string {
  if (/^destinations:/m.test(text)) return text;
  const destination = 'destinations:\n  billing:\n    type: http\n    url: https://receiver.example/hooks\n';
  return text.startsWith(' ') ? `${destination}${text}routes: []\n` : `${destination}routes: []\n${text}`;
}

/** For `${X}` and `env:X` in examples. */
function sampleOf(name: string): string {
  if (name === 'A_PEM') return '-----BEGIN CERTIFICATE-----';
  if (name === 'EGRESS_PROXY') return 'http://proxy.example:3128';
  if (name === 'REDIS_URL') return 'redis://redis.example';
  if (name === 'RABBIT_URL') return 'amqp://mq.example';
  if (name.includes('URL')) return 'https://receiver.example/hooks';
  return `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
}

test.each([
  ['npm run outbox -- dlq retry 17', []],
  ['temporal-outbox dlq list --json', []],
  ['temporal-outbox config check|explain|apply', []],
  ['temporal-outbox migrate --now', ['temporal-outbox migrate --now: no option --now']],
  ['temporal-outbox dlq revive 17', ['temporal-outbox dlq revive 17: no command revive']],
  ['npm run nonsense', ['npm run nonsense: there is no script nonsense']],
])('a command line is checked: %s', (line, problems) => {
  expect(problemsOf(line)).toEqual(problems);
});
