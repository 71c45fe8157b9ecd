import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyError, classifyStatus } from '../../src/destination/http/classify.ts';
import { retry } from './support/fixtures.ts';

const listed = retry.nonRetryableStatusCodes;

describe('a status', () => {
  it.each([
    [200, 'acknowledged'],
    [201, 'acknowledged'],
    [204, 'acknowledged'],
    [299, 'acknowledged'],
    [300, 'permanent'],
    [301, 'permanent'],
    [304, 'permanent'],
    [308, 'permanent'],
    [400, 'permanent'],
    [401, 'permanent'],
    [402, 'again'],
    [403, 'permanent'],
    [404, 'permanent'],
    [405, 'permanent'],
    [406, 'again'],
    [408, 'again'],
    [409, 'again'],
    [410, 'permanent'],
    [413, 'permanent'],
    [415, 'permanent'],
    [418, 'again'],
    [422, 'permanent'],
    [425, 'again'],
    [429, 'unreachable'],
    [499, 'again'],
    [500, 'again'],
    [501, 'permanent'],
    [502, 'unreachable'],
    [503, 'unreachable'],
    [504, 'unreachable'],
    [505, 'again'],
    [599, 'again'],
    [999, 'again'],
  ])('%i by the default list is %s', (status, expected) => {
    expect(inAWord(status, listed)).toBe(expected);
  });

  it('is as permanent as the list of the destination says', () => {
    expect(inAWord(410, [400])).toBe('again');
    expect(inAWord(501, [])).toBe('again');
    expect(inAWord(500, [500])).toBe('permanent');
    expect(inAWord(429, [429])).toBe('permanent');
    expect(inAWord(503, [503])).toBe('permanent');
  });

  it('acknowledges exactly when it is 2xx, whatever the list', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 999 }),
        fc.array(fc.integer({ min: 200, max: 999 })),
        (status, list) => {
          expect(classifyStatus(status, list).kind === 'acknowledged').toBe(status >= 200 && status <= 299);
        },
      ),
    );
  });

  it('in the list, and every 3xx, is never tried again; no other is permanent', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 300, max: 999 }),
        fc.array(fc.integer({ min: 300, max: 999 })),
        (status, list) => {
          const permanent = list.includes(status) || status < 400;
          expect(inAWord(status, list) === 'permanent').toBe(permanent);
        },
      ),
    );
  });
});

function inAWord(status: number, list: readonly number[]): string {
  const verdict = classifyStatus(status, list);
  if (verdict.kind !== 'refused') return verdict.kind;
  return verdict.permanent ? 'permanent' : 'again';
}

describe('an error', () => {
  it.each([
    ['ECONNREFUSED', 'connection-refused'],
    ['ECONNRESET', 'connection-reset'],
    ['EPIPE', 'connection-reset'],
    ['UND_ERR_SOCKET', 'connection-reset'],
    ['ETIMEDOUT', 'timeout'],
    ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
    ['EHOSTUNREACH', 'network-unreachable'],
    ['ENETUNREACH', 'network-unreachable'],
    ['ENOTFOUND', 'dns-not-found'],
    ['EAI_AGAIN', 'dns-failure'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls-certificate'],
    ['CERT_HAS_EXPIRED', 'tls-certificate'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'tls-certificate'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls-certificate'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls-failure'],
    ['EPROTO', 'tls-failure'],
    ['EMFILE', 'too-many-open-files'],
    ['E_SOMETHING_NEW', 'network-error'],
  ])('%s is unreachable, class %s', (code, errorClass) => {
    expect(classifyError(Object.assign(new Error('x'), { code }))).toEqual({
      kind: 'unreachable',
      errorClass,
    });
  });

  it.each([
    ['HPE_INVALID_CONSTANT', 'invalid-response'],
    ['HPE_CR_EXPECTED', 'invalid-response'],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'invalid-response'],
    ['UND_ERR_HEADERS_OVERFLOW', 'response-headers-too-large'],
  ])('%s is an answer that cannot be read, class %s', (code, errorClass) => {
    const error = Object.assign(new Error('x'), { code });
    expect(classifyError(error)).toEqual({ kind: 'refused', errorClass });
    expect(classifyError(error, true)).toEqual({ kind: 'refused', errorClass });
  });

  it.each(['ECONNRESET', 'UND_ERR_SOCKET', 'ERR_SSL_BAD_RECORD_TYPE', 'E_SOMETHING_NEW'])(
    '%s is an answer that cannot be read when a part of it came',
    (code) => {
      const error = Object.assign(new Error('x'), { code });
      expect(classifyError(error, true)).toEqual({ kind: 'refused', errorClass: 'invalid-response' });
      expect(classifyError(error).kind).toBe('unreachable');
    },
  );

  it('of the network policy is permanent', () => {
    const error = Object.assign(new Error('x'), { code: 'OUTBOX_ADDRESS_BLOCKED' });
    expect(classifyError(error)).toEqual({ kind: 'refused-permanent', errorClass: 'blocked-address' });
  });

  it('of any shape gets a class', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        expect(classifyError(thrown).errorClass).toMatch(/^[a-z-]+$/);
      }),
    );
  });
});
