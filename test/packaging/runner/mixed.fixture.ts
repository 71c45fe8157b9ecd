// Not one of our tests: what the runner has to count, one of each kind. test/packaging/run.test.ts runs it.
import { beforeAll, describe, expect, test } from 'vitest';

test('passes', () => expect(1).toBe(1));
test('fails', () => expect(1).toBe(2));
test('is skipped with a reason', ({ skip }) => skip('the moon is down'));
test('is skipped for the same reason', ({ skip }) => skip('the moon is down'));
// On purpose: the runner has to tell of a skip that gives no reason.
test.skip('is skipped without a reason', () => undefined);

describe('a suite whose hook throws', () => {
  beforeAll(() => {
    throw new Error('hook');
  });
  test('never runs', () => undefined);
});
