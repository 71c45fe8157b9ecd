/** What a browser keeps for us: nobody else reads or changes it, and it ends. */
import { expect, test } from 'vitest';
import { sealWith } from '../../src/dashboard/sealed.ts';

test('what was sealed opens with the same secret and purpose, until its time, and not changed', () => {
  const seal = sealWith('secret', 'session');
  const text = seal.close({ role: 'admin' }, 1_000);
  expect(text).toMatch(/^[\w-]+$/);
  expect(sealWith('secret', 'session').open(text, 999)).toEqual({ role: 'admin' });
  expect(seal.open(text, 1_000)).toBeUndefined();
  expect(sealWith('another', 'session').open(text, 0)).toBeUndefined();
  expect(sealWith('secret', 'sign-in').open(text, 0)).toBeUndefined();
  for (let at = 0; at < text.length - 1; at += 7) {
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    expect(seal.open(changed, 0)).toBeUndefined();
  }
  for (const junk of ['', 'x', 'A'.repeat(60)]) expect(seal.open(junk, 0)).toBeUndefined();
});
