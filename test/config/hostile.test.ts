import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/settings/findings.ts';
import { parseConfig } from '../../src/config/load.ts';
import { contractExample, environment, withLines } from './fixtures.ts';
import { problemsOf } from './refusals.ts';
import { everything } from '../support/everything.ts';

/** Milliseconds; ten times what it takes on a slow machine, a hundredth of what an unbounded reader takes. */
const patience = 10_000;

const megabyte = 1024 * 1024;
const bomb = 'bcdefghij'
  .split('')
  .map((name, index) => `${name}: &${name} [${Array<string>(10).fill(`*${'abcdefghij'[index]}`).join()}]`);

describe('a hostile file is refused quickly:', () => {
  it.each([
    ['ten thousand lists in each other', '['.repeat(10_000), 'levels of nesting'],
    ['ten thousand mappings in each other', '{a: '.repeat(10_000), 'levels of nesting'],
    ['ten thousand lists on a line', '- '.repeat(10_000), 'levels of nesting'],
    ['a million explicit keys', '? '.repeat(megabyte / 2), 'levels of nesting'],
    [
      'a thousand steps down',
      Array.from({ length: 1_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      'levels',
    ],
    ['one byte too many', '#'.repeat(megabyte + 1), 'at most 1048576 bytes'],
    ['a hundred megabytes', 'a'.repeat(100 * megabyte), 'at most 1048576 bytes'],
    ['two bytes a character', 'é'.repeat(megabyte / 2 + 1), 'at most 1048576 bytes'],
    [
      'a thousand million aliases',
      ['a: &a [x,x,x,x,x,x,x,x,x,x]', ...bomb].join('\n'),
      'aliases counted each time',
    ],
    ['deep aliases', deepAliases(70), '64 levels'],
    ['a megabyte of commas', `[${','.repeat(megabyte - 2)}]`, 'words and marks'],
    ['a hundred thousand keys', Array.from({ length: 100_001 }, (_, i) => `k${i}:`).join('\n'), 'at most'],
    ['the same key over and over', 'a: 1\n'.repeat(40_000), 'written twice'],
    ['a megabyte of anchors', '&a '.repeat(megabyte / 3), 'words and marks'],
    ['a megabyte of quotes', '"'.repeat(megabyte), ''],
    ['a megabyte of directives', '%a\n'.repeat(megabyte / 3), ''],
    ['a megabyte of documents', '---\n'.repeat(megabyte / 4), 'words and marks'],
    ['a key of a megabyte', `${'a'.repeat(megabyte - 2)}:`, ''],
  ])(
    '%s',
    (_, text, message) => {
      const started = performance.now();
      const error = problemsOf(text);
      expect(performance.now() - started).toBeLessThan(patience);
      expect(error.code).toBe('OUTBOX_CONFIG_INVALID');
      expect(error.message).toContain(message);
      expect(error.message.length).toBeLessThan(10_000);
    },
    2 * patience,
  );

  it('while a thousand destinations and routes are fine', () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `destination-${index}`);
    const destinations = names.map((name) => `  ${name}: { type: http, url: "http://${name}.test/" }`);
    const routes = names.map((name) => `  - { match: ${name}.*, to: [${name}] }`);
    const text = ['destinations:', ...destinations, 'routes:', ...routes].join('\n');
    expect(parseConfig(text, { env: {} }).config.destinations).toHaveLength(1_000);
  });
});

/** Each anchor is one level deep as written; together they are `levels` deep. */
function deepAliases(levels: number): string {
  const lines = ['a0: &a0 []'];
  for (let level = 1; level <= levels; level++) lines.push(`a${level}: &a${level} [*a${level - 1}]`);
  return lines.join('\n');
}

/** What an editor, a merge or a bad day does to a file. */
const fragments = [
  ...[
    '\t',
    '\n',
    ' ',
    ':',
    '- ',
    '*',
    '&a ',
    '*a',
    '!!x ',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    '#',
    '|',
    '>',
    '%',
    '@',
    '---\n',
  ],
  ...[
    '\u0000',
    '\ufeff',
    '\u2028',
    '🙂',
    '\ud800',
    '__proto__: ',
    'constructor: ',
    '<<: ',
    '${',
    '${X}',
    'env:',
    'null',
    '~',
  ],
  ...[
    '1e9',
    '-1',
    '.nan',
    '.inf',
    '0x10',
    '1.5',
    'true',
    '5 parsecs',
    'key',
    'type: kafka\n',
    '? ',
    ', ',
    'billing:',
  ],
];

const anyEdit = fc.record({
  at: fc.nat(contractExample.length),
  remove: fc.oneof(fc.constant(0), fc.nat(12), fc.nat(200)),
  insert: fc.oneof(fc.constantFrom(...fragments), fc.string({ unit: 'binary', maxLength: 5 })),
});

function edited(text: string, edits: readonly { at: number; remove: number; insert: string }[]): string {
  return edits.reduce(
    (now, { at, remove, insert }) => now.slice(0, at) + insert + now.slice(at + remove),
    text,
  );
}

describe('any change to a valid file', () => {
  const withCredentials = withLines(
    'auth: { bearer: env:BILLING_SECRET }',
    'headers: { x-a: b }',
    'timeout: &t 5s',
  );

  it.each([
    ['the contract example', contractExample],
    ['one with credentials', withCredentials],
  ])('to %s leaves it valid or gets an error that names a line, and nothing else', (_, original) => {
    fc.assert(
      fc.property(fc.array(anyEdit, { minLength: 1, maxLength: 4 }), (edits) => {
        const text = edited(original, edits);
        try {
          parseConfig(text, { env: environment });
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          expect(error.problems.length).toBeGreaterThan(0);
          const lines = text.split('\n').length;
          for (const { line, column, message } of error.problems) {
            expect(line).toBeGreaterThanOrEqual(1);
            expect(line).toBeLessThanOrEqual(lines);
            expect(column).toBeGreaterThanOrEqual(1);
            expect(message).not.toBe('');
          }
        }
      }),
      { numRuns: everything ? 800 : 200 },
    );
  });

  it('also when any value is replaced by any other', () => {
    const keys = [
      'type',
      'url',
      'timeout',
      'retry',
      'headers',
      'signing',
      'auth',
      'batch',
      'network',
      'ordering',
    ];
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()),
        fc.jsonValue(),
        (billing, routes) => {
          const file = {
            destinations: { billing: { type: 'http', url: 'http://a.test/', ...billing } },
            routes,
          };
          try {
            parseConfig(JSON.stringify(file), { env: environment });
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigError);
          }
        },
      ),
      { numRuns: everything ? 500 : 150 },
    );
  });
});
