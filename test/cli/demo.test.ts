import { expect, test } from 'vitest';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually, spawnRun } from '../support/index.ts';
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

test(
  'without --exit it opens with the link of the dashboard, where the parked order is retried',
  { timeout: 180_000 },
  async (context) => {
    onlyWithEverything(context, 'servers of its own');
    const demo = spawnRun({ databaseUrl: '', args: ['demo'], cwd: await folderWith() });
    const patience = { timeout: 120_000 };
    const said = (pattern: RegExp): Promise<RegExpExecArray> =>
      eventually(() => {
        const found = pattern.exec(demo.stdout());
        expect(found, demo.stdout() + demo.stderr()).not.toBeNull();
        return found as RegExpExecArray;
      }, patience);
    const [, dashboard = ''] = await said(/^\s*the dashboard\s+(http:\S+)/);
    expect(await (await fetch(dashboard)).text()).toContain('<title>');
    const [, letter] = await said(/the dashboard\s+http:\S+\/letters\/(\d+)/);
    await said(/Billing has been repaired/);
    const retried = await fetch(`${dashboard}/v1/letters/${letter}/retry`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"reason":"billing was repaired"}',
    });
    expect(retried.status).toBe(200);
    await said(/Resolved by retry/);
    await said(/Checked in the tables and at the receiver/);
    await demo.kill('SIGINT');
    expect((await demo.ended).code).toBe(0);
  },
);
