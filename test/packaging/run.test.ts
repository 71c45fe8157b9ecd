import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const program = join(import.meta.dirname, '..', 'run.mjs');
const config = join(import.meta.dirname, 'runner', 'vitest.config.ts');

/** The last two lines of `npm test` over these fixtures, and its exit code. */
async function runnerOn(files: readonly string[], env: Record<string, string> = {}) {
  const { VITEST: _, VITEST_POOL_ID: __, OUTBOX_TEST_ALL: ___, ...inherited } = process.env;
  const child = spawn(process.execPath, [program, '--config', config, ...files], {
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const lines = (await text(child.stdout)).trimEnd().split('\n');
  return { last: lines.slice(-2), code: await code };
}

test('failures, files that do not load and hooks that throw are failures; skipped tests are told with reasons', async () => {
  expect(await runnerOn(['mixed', 'broken'])).toEqual({
    last: ['4 skipped: the moon is down (2), no reason given (2)', '1 passed, 3 failed'],
    code: 1,
  });
});

test('an error that nobody caught is a failure', async () => {
  expect(await runnerOn(['unhandled'])).toEqual({ last: ['0 skipped', '1 passed, 1 failed'], code: 1 });
});

test('a skipped test is no failure, except where everything must run', async () => {
  const last = '1 skipped: the moon is down (1)';
  expect(await runnerOn(['skipping'])).toEqual({ last: [last, '1 passed, 0 failed'], code: 0 });
  expect(await runnerOn(['skipping'], { OUTBOX_TEST_ALL: '1' })).toEqual({
    last: [last, '1 passed, 1 failed'],
    code: 1,
  });
});

test('a run in which no test is executed has failed', async () => {
  expect(await runnerOn(['no-such-file'])).toEqual({ last: ['0 skipped', '0 passed, 1 failed'], code: 1 });
});

test('tests that a name filter leaves out are not counted as skipped', async () => {
  expect(await runnerOn(['skipping', '-t', 'passes'])).toEqual({
    last: ['0 skipped', '1 passed, 0 failed'],
    code: 0,
  });
});
