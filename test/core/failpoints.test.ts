import { afterEach, expect, test } from 'vitest';
import { OutboxError } from '../../src/errors.ts';
import { armFailpoints, disarmFailpoints, failpoint, failpoints } from '../../src/failpoints.ts';

const allowed = { OUTBOX_FAILPOINTS_ALLOWED: 'crash-test' };

afterEach(disarmFailpoints);

test('nothing is armed unless the environment says so, and then only what it names', async () => {
  expect(armFailpoints({})).toEqual([]);
  expect(armFailpoints({ OUTBOX_FAILPOINTS: '' })).toEqual([]);
  expect(failpoint('after-claim')).toBeUndefined();
  expect(armFailpoints({ ...allowed, OUTBOX_FAILPOINTS: 'before-flush=error' })).toEqual(['before-flush']);
  await expect(failpoint('after-claim')).resolves.toBeUndefined();
  await expect(failpoint('before-flush')).rejects.toThrow('failpoint before-flush');
});

test.each([{}, { OUTBOX_FAILPOINTS_ALLOWED: '' }, { OUTBOX_FAILPOINTS_ALLOWED: '1' }])(
  'set by itself it is refused: somebody left it behind (%o)',
  (env) => {
    expect(() => armFailpoints({ ...env, OUTBOX_FAILPOINTS: 'after-claim=exit' })).toThrow(
      expect.objectContaining({
        code: 'OUTBOX_USAGE',
        hint: expect.stringContaining('crash-test') as string,
      }),
    );
    expect(failpoint('after-claim')).toBeUndefined();
  },
);

test.each([
  ['after-claim', /is not name=action/],
  ['after-claim=', /is not name=action/],
  ['after-claim=explode', /is not name=action/],
  ['after-claim=sleep', /is not name=action/],
  ['after-claim=sleep(-1)', /is not name=action/],
  ['after-claim=exit@0', /is not name=action/],
  ['after-claim=exit@1.5', /is not name=action/],
  ['after-clam=exit', /no failpoint after-clam; did you mean after-claim\?/],
  ['constructor=exit', /no failpoint constructor/],
])('%s is refused, and arms nothing', (text, message) => {
  const arm = (): unknown => armFailpoints({ ...allowed, OUTBOX_FAILPOINTS: `before-flush=error;${text}` });
  expect(arm).toThrow(OutboxError);
  expect(arm).toThrow(message);
  expect(failpoint('before-flush')).toBeUndefined();
});

test('@n means the n-th time and no other', async () => {
  armFailpoints({ ...allowed, OUTBOX_FAILPOINTS: ' after-send=error@2 ; before-flush=sleep(1) ;' });
  await expect(failpoint('after-send')).resolves.toBeUndefined();
  await expect(failpoint('after-send')).rejects.toThrow('failpoint after-send');
  await expect(failpoint('after-send')).resolves.toBeUndefined();
  await expect(failpoint('before-flush')).resolves.toBeUndefined();
});

test('each says in words where it is', () => {
  for (const place of Object.values(failpoints)) expect(place.length).toBeGreaterThan(15);
});
