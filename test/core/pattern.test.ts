import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { likePattern, matchesPattern } from '../../src/core/pattern.ts';

/** The definition, spelled out; exponential, so only for short texts. */
function naiveMatch(pattern: string, type: string): boolean {
  if (pattern === '') return type === '';
  if (pattern[0] !== '*')
    return pattern[0] === type[0] && type !== '' && naiveMatch(pattern.slice(1), type.slice(1));
  return naiveMatch(pattern.slice(1), type) || (type !== '' && naiveMatch(pattern, type.slice(1)));
}

/** PostgreSQL's LIKE with its default escape. */
function like(pattern: string): RegExp {
  const source = pattern.replace(/\\([\s\S])|%|_|[\s\S]/g, (token, escaped: string | undefined) => {
    if (token === '%') return '[^]*';
    if (token === '_') return '[^]';
    return `\\u${(escaped ?? token).charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return new RegExp(`^${source}$`);
}

const anyText = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '%', '_', '\\'), maxLength: 10 });

describe('an event type pattern', () => {
  it.each([
    ['order.*', 'order.paid', true],
    ['order.*', 'order.line.added', true],
    ['order.*', 'order.', true],
    ['order.*', 'order', false],
    ['order.*', 'reorder.paid', false],
    ['*', '', true],
    ['*', 'anything.at all', true],
    ['*.created', 'user.created', true],
    ['*.created', 'created', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a**b', 'a-b', true],
    ['a*b*c', 'a.c.b', false],
    ['order_paid', 'order-paid', false],
    ['100%', '100 and more', false],
    ['ORDER.*', 'order.paid', false],
  ])('%s takes %s: %s', (pattern, type, expected) => {
    expect(matchesPattern(pattern, type)).toBe(expected);
  });

  it('means what its definition says', () => {
    fc.assert(
      fc.property(anyText, anyText, (pattern, type) => {
        expect(matchesPattern(pattern, type)).toBe(naiveMatch(pattern, type));
      }),
      { numRuns: 2_000 },
    );
  });

  it('means the same as the LIKE pattern made of it', () => {
    fc.assert(
      fc.property(anyText, anyText, (pattern, type) => {
        expect(like(likePattern(pattern)).test(type)).toBe(matchesPattern(pattern, type));
      }),
      { numRuns: 2_000 },
    );
  });

  it('escapes what LIKE would take for a wildcard', () => {
    expect(likePattern('order_*.100%\\')).toBe('order\\_%.100\\%\\\\');
  });

  it('is matched without backtracking', () => {
    const pattern = '*a'.repeat(5_000);
    const started = performance.now();
    expect(matchesPattern(`${pattern}b`, 'a'.repeat(10_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
