import { property, assert, json, string, constantFrom } from 'fast-check';
import { expect, test } from 'vitest';
import { memberText } from '../../src/core/jsonMember.ts';

test.each<[string, string | undefined]>([
  ['{"payload":1}', '1'],
  ['{ "payload" : 12345678901234567890.10 }', '12345678901234567890.10'],
  ['{"a":{"payload":1},"b":["payload",{"x":"}"}]}', undefined],
  ['{"a":"\\"payload\\":1","payload":"a\\\\"}', '"a\\\\"'],
  ['{"payload":1,"payload":[2, 3]}', '[2, 3]'],
  ['{"\\u0070ayload":true}', 'true'],
  ['{}', undefined],
  ['\n{\t"payload"\r:\n{"a":-1e+5}\n}\n', '{"a":-1e+5}'],
])('the payload of %s is %s', (text, expected) => {
  expect(memberText(text, 'payload')).toBe(expected);
});

test('whatever JSON stands beside it, before or after, what is cut out is what JSON.parse reads', () => {
  const place = constantFrom(0, 1);
  assert(
    property(string(), json(), json(), place, (key, other, value, first) => {
      const members = [`${JSON.stringify(`x${key}`)}: ${other}`, `"payload": ${value}`];
      const text = `{${(first === 0 ? members : members.toReversed()).join(' , ')}}`;
      expect(memberText(text, 'payload')).toBe(value.trim());
      expect((JSON.parse(text) as { payload: unknown }).payload).toEqual(JSON.parse(value));
    }),
  );
});
