import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const suite = join(import.meta.dirname, 'otherRunner', 'suite.mjs');

test('the suite runs under node:test: rows that pass, one that cannot be shown and says why, and one that nobody spoke of fails', async () => {
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', suite], {
    // Under a runner of its own it would report to that one.
    env: { PATH: process.env['PATH'] },
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(said).toMatch(/^ *ok \d+ - acknowledged: what is acknowledged is stored/m);
  expect(said).toMatch(/^ *ok \d+ - repeats: /m);
  expect(said).toMatch(/^ *ok \d+ - not shown, tls: a folder is no server/m);
  expect(said).toMatch(/^ *not ok \d+ - blocked: /m);
  expect(said).toContain("the server of the harness has no block, and cannot['blocked'] does not say why");
  expect(said).toMatch(/# pass 3\n# fail 1\n/);
  expect(code).toBe(1);
});
