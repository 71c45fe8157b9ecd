import { expect, test } from 'vitest';
import { markdownText } from '../../src/core/markdown.ts';

test.each([
  ['order_created.v1', 'order_created.v1'],
  ['HTTP 422', 'HTTP 422'],
  ['the payload’s total is wrong (was: 3)', 'the payload’s total is wrong (was: 3)'],
  ['*bold* _em_ a_b', '\\*bold\\* \\_em\\_ a_b'],
  ['a | b', 'a \\| b'],
  ['<img src=x onerror=alert(1)>', '\\<img src=x onerror=alert(1)\\>'],
  ['&lt;b&gt;', '\\&lt;b\\&gt;'],
  ['![x](//evil)', '\\!\\[x\\](//evil)'],
  ['see https://evil.example/a now', 'see `https://evil.example/a` now'],
  ['www.evil.example', '`www.evil.example`'],
  ['bob@example.com', '`bob@example.com`'],
  ['https://a/`x|y', '`https://a/\\u{60}x\\u{7c}y`'],
  ['- a', '\\- a'],
  ['1. a', '1\\. a'],
  ['# a\n## b', '\\# a \\#\\# b'],
  ['a\u001b[2Jb\u202ec', 'a\\\\u{1b}\\[2Jb\\\\u{202e}c'],
])('%j is written as %j', (text, written) => {
  expect(markdownText(text)).toBe(written);
});

test('is cut before it is escaped', () => {
  expect(markdownText('*'.repeat(10), 3)).toBe('\\*\\*\\*');
});
