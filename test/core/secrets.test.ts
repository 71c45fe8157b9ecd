import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { expandEnvironment } from '../../src/core/environment.ts';
import { resolveSecret, signingSecretProblem } from '../../src/core/secrets.ts';
import type { OutboxError } from '../../src/errors.ts';

describe('a secret', () => {
  it('written as env:NAME is the value of that variable', () => {
    expect(resolveSecret('env:TOKEN', { TOKEN: 'abc' })).toBe('abc');
  });

  it('written out is itself', () => {
    expect(resolveSecret('whsec_abc', {})).toBe('whsec_abc');
  });

  it.each(['env:TOKEN', 'env:', 'env:a b', '', 'env:constructor', 'env:__proto__', 'env:EMPTY'])(
    'written as %j that leads nowhere is OUTBOX_SECRET_MISSING',
    (reference) => {
      expect(() => resolveSecret(reference, { EMPTY: '' })).toThrow(
        expect.objectContaining({ code: 'OUTBOX_SECRET_MISSING' }) as OutboxError,
      );
    },
  );
});

describe('a signing secret', () => {
  it.each([24, 25, 26, 32, 64])('of %d bytes is well-formed', (bytes) => {
    expect(signingSecretProblem(`whsec_${randomBytes(bytes).toString('base64')}`)).toBeNull();
  });

  it.each([
    ['', 'whsec_'],
    ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'does not begin'],
    ['whsec_', '0 bytes'],
    [`whsec_${Buffer.alloc(23).toString('base64')}`, '23 bytes'],
    [`whsec_${Buffer.alloc(65).toString('base64')}`, '65 bytes'],
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS', 'not base64'],
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!', 'not base64'],
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n', 'not base64'],
  ])('%j is not: %s', (secret, reason) => {
    expect(signingSecretProblem(secret)).toContain(reason);
  });
});

describe('${NAME} in a text', () => {
  it('is filled in from the environment', () => {
    const env = { HOST: 'a.test', PORT: '80' };
    expect(expandEnvironment('http://${HOST}:${PORT}/$HOST', env)).toEqual({
      text: 'http://a.test:80/$HOST',
      missing: [],
      malformed: false,
    });
  });

  it('is reported once when it is absent or empty, and left as it is', () => {
    expect(expandEnvironment('${A}${A}${B}${constructor}', { B: '' })).toEqual({
      text: '${A}${A}${B}${constructor}',
      missing: ['A', 'B', 'constructor'],
      malformed: false,
    });
  });

  it('is not filled in twice', () => {
    expect(expandEnvironment('${A}', { A: '${B}', B: 'no' }).text).toBe('${B}');
  });

  it.each(['${', '${A', '${A:-b}', '${1}', '${}', '${A B}'])('%s is malformed', (text) => {
    expect(expandEnvironment(text, { A: 'x' }).malformed).toBe(true);
  });
});
