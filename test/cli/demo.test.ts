import { expect, test } from 'vitest';
import { expectClean, folderWith, offline } from './commands.ts';

test(
  'demo --exit tells the story, checks it, and its last line counts what happened',
  { timeout: 180_000 },
  async () => {
    const ended = await offline(['demo', '--exit'], { cwd: await folderWith(), databaseUrl: '' });
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    const counts = JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '') as unknown;
    expect(counts).toEqual({
      committed: 12,
      rolledBack: 4,
      delivered: 12,
      retried: 1,
      parked: 1,
      resolved: 1,
    });
    expect(ended.stdout).toContain('Checked in the tables and at the receiver');
    expectClean(ended);
  },
);

test('with --json the counts are all there is on stdout', { timeout: 180_000 }, async () => {
  const ended = await offline(['demo', '--exit', '--json'], { cwd: await folderWith(), databaseUrl: '' });
  expect(ended.code).toBe(0);
  expect(JSON.parse(ended.stdout)).toMatchObject({ delivered: 12 });
});
