/** That housekeeping does not run is seen in /metrics, `status`, `status --check` and `doctor`; a pass that works ends it. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { passOver } from '../housekeeping/stage.ts';
import { applyTestConfig, createTestDatabase, eventually, runCli, startRun } from '../support/index.ts';
import { scrape } from './scrape.ts';

test('the age of the last pass: since the schema was made, through a pass that is broken off, to one that ends', async () => {
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9/' } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
  const { endpoints } = await startRun({
    databaseUrl: database.url,
    metricsListen: parseListen('127.0.0.1:0'),
  });
  const age = async (): Promise<number> =>
    (await scrape(endpoints['metrics'])).value('outbox_housekeeping_age_seconds') ?? NaN;
  const cli = async (...args: string[]): Promise<string> =>
    (await runCli(args, { databaseUrl: database.url })).stdout;
  const doctor = async (): Promise<object | undefined> =>
    (JSON.parse(await cli('doctor', '--json')) as { checks: { check: string }[] }).checks.find(
      ({ check }) => check === 'last housekeeping',
    );
  // The schema may have been made with the first test of this run: this database is a copy.
  expect(await age()).toBeLessThan(7_200);
  expect(await cli('status')).toMatch(/housekeeping +not done yet/);
  expect(await doctor()).toMatchObject({ level: 'ok' });

  await database.pool.query(
    `update outbox.housekeeping set ended_at = now() - interval '30 hours', started_at = now() - interval '1 hour', step = 'deleting audit'`,
  );
  await eventually(async () => expect(await age()).toBeGreaterThanOrEqual(30 * 3600));
  expect(await cli('status', '--check')).toMatch(/^CRITICAL: no housekeeping for 1 d 6 h.* \(limit 1 d\)\n$/);
  expect(await cli('status', '--check', '--max-housekeeping-age', '2d')).toMatch(/^OK/);
  expect(await doctor()).toMatchObject({
    level: 'warn',
    found: expect.stringMatching(
      /^no pass has come to its end for 1 d 6 h.*; the one that began last is at: deleting audit$/,
    ) as string,
  });

  await passOver(database);
  await eventually(async () => expect(await age()).toBeLessThan(120));
  expect(await cli('status', '--check')).toMatch(/^OK/);
  expect(await cli('status')).toMatch(/housekeeping +last done (now|\d+ s ago)/);
  expect(await doctor()).toMatchObject({ level: 'ok' });
});

test('an age of housekeeping that is none is wrong use', async () => {
  const ended = await runCli(['status', '--check', '--max-housekeeping-age', 'old'], {
    databaseUrl: 'postgresql://nobody@127.0.0.1:1/none',
  });
  expect([ended.code, ended.stdout]).toEqual([2, '']);
});
