import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { excerptBytes, excerptOf, printable, redact } from '../../src/destination/shared/printable.ts';

const plain = { complete: true, contentEncoding: null };

describe('printable text', () => {
  it.each([
    ['plain é 漢字 🎉', 'plain é 漢字 🎉'],
    ['a\nb\tc\r', 'a\\nb\\tc\\r'],
    ['nul \u0000 esc \u001b[31m del \u007f c1 \u0085', 'nul \\u{0} esc \\u{1b}[31m del \\u{7f} c1 \\u{85}'],
    ['rtl \u202egnp.exe', 'rtl \\u{202e}gnp.exe'],
    [
      'isolate \u2067 mark \u200f zero width \u200b bom \ufeff',
      'isolate \\u{2067} mark \\u{200f} zero width \\u{200b} bom \\u{feff}',
    ],
    ['lines \u2028 \u2029', 'lines \\u{2028} \\u{2029}'],
    ['half \ud83c', 'half \\u{d83c}'],
  ])('%j becomes %j', (text, expected) => {
    expect(printable(text, 1000)).toBe(expected);
  });

  it('is never longer than asked, nor ends within an escape or a pair', () => {
    expect(printable('abc', 2)).toBe('ab');
    expect(printable('a\u0000', 4)).toBe('a');
    expect(printable('a🎉', 2)).toBe('a');
  });

  it('holds no control or formatting character, whatever it is made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(200), (text, maximum) => {
        const line = printable(text, maximum);
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(line.length).toBeLessThanOrEqual(maximum);
      }),
    );
  });
});

describe('an excerpt', () => {
  it('shows bytes that are not UTF-8 as such', () => {
    const body = Buffer.from([0x61, 0xff, 0xfe, 0x62, 0x00]);
    expect(excerptOf({ ...plain, body }, [], 100)).toBe('a\ufffd\ufffdb\\u{0}');
  });

  it('leaves out a character that was cut in two by the limit', () => {
    const body = Buffer.from('aé').subarray(0, 2);
    expect(excerptOf({ ...plain, body, complete: false }, [], 100)).toBe('a');
  });

  it('is null of an empty body or when none is wanted', () => {
    expect(excerptOf({ ...plain, body: Buffer.alloc(0) }, [], 100)).toBeNull();
    expect(excerptOf({ ...plain, body: Buffer.from('x') }, [], 0)).toBeNull();
  });

  it('only names an encoded body', () => {
    const body = Buffer.from([0x1f, 0x8b, 0x08]);
    expect(excerptOf({ ...plain, body, contentEncoding: 'GZIP' }, [], 100)).toBe('(gzip, not decoded)');
  });

  it('does not show what the receiver echoes of our secrets and signatures', () => {
    const echo =
      'authorization: Bearer s3cret-token; webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
    expect(redact(echo, ['s3cret-token'])).toBe(
      'authorization: Bearer [redacted]; webhook-signature: [redacted]',
    );
  });

  it('is made of bytes enough for its characters', () => {
    expect(excerptBytes(0, 16_384)).toBe(0);
    expect(excerptBytes(200, 16_384)).toBe(1312);
    expect(excerptBytes(100_000, 16_384)).toBe(16_384);
  });
});
