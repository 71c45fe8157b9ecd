import { expect, test } from 'vitest';
import { createTestDatabase, runCli } from '../support/index.ts';
import { expectClean, folderWith, json, jsonError, nowhere, offline } from './commands.ts';

const day = 86_400_000;
const config = `destinations:
  billing: { type: http, url: 'http://billing.test/', retry: { scheduleToCloseTimeout: 240h } }
  audit: { type: http, url: 'http://audit.test/' }
`;

test('migrate, check and maintain work on the database of the option or the environment', async () => {
  const { url, rows } = await createTestDatabase({ migrated: false });
  const first = json(
    await offline(['inbox', 'migrate', '--database-url', url, '--retention', '40d', '--json']),
  );
  expect(first).toMatchObject({
    from: 0,
    applied: ['0001-messages.sql', '0002-rights.sql', '0003-own-lock.sql', '0004-parked.sql'],
  });
  const again = await runCli(['inbox', 'migrate'], { databaseUrl: url });
  expect(again.stdout).toMatch(/nothing to do/);
  const checked = json(await runCli(['inbox', 'check', '--json'], { databaseUrl: url }));
  expect(checked).toMatchObject({ retentionMs: 40 * day, neededMs: 20 * day, overdueWeeks: 0 });
  const maintained = await runCli(['inbox', 'maintain'], { databaseUrl: url });
  expect(maintained.stdout).toMatch(/^0 partitions made, 0 dropped/);
  expect(await rows(`select to_regnamespace('outbox') as outbox`)).toEqual([{ outbox: null }]);
});

test("check takes the sender's longest retry from its file, and ends with 1 when the inbox forgets too soon", async () => {
  const { url } = await createTestDatabase({ migrated: false });
  await runCli(['inbox', 'migrate'], { databaseUrl: url });
  const cwd = await folderWith({ 'outbox.yaml': config });
  const check = (...args: string[]) =>
    runCli(['inbox', 'check', '--json', ...args], { databaseUrl: url, cwd });
  const short = await check('--config', 'outbox.yaml');
  expect(short.code).toBe(1);
  expect(jsonError(short)).toMatchObject({
    code: 'OUTBOX_INBOX_RETENTION',
    hint: 'Run: temporal-outbox inbox migrate --retention 34d',
  });
  expect(json(await check('--config', 'outbox.yaml', '--destination', 'audit'))).toMatchObject({
    neededMs: 20 * day,
  });
  expect(json(await check('--retry-for', '1d', '--parked-for', '2d', '--delayed-for', '3d'))).toMatchObject({
    neededMs: 7 * day,
  });
});

test('a database without an inbox says: run inbox migrate', async () => {
  const { url } = await createTestDatabase({ migrated: false });
  for (const command of ['check', 'maintain']) {
    const ended = await runCli(['inbox', command], { databaseUrl: url });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/OUTBOX_SCHEMA_MISSING.*\n.*temporal-outbox inbox migrate/);
  }
});

test.each([
  [['inbox'], /Usage: temporal-outbox inbox/],
  [['inbox', 'migrate', '--retention', '30'], /a duration such as/],
  [['inbox', 'migrate', '--retention', '1s'], /at least 1h/],
  [['inbox', 'migrate', '--retention', '4000d'], /at most 3650d/],
  [['inbox', 'check', '--retry-for', '-1h'], /a duration such as/],
  [['inbox', 'check', '--destination', 'billing'], /--destination names one of a --config file/],
  [['inbox', 'check', '--config', 'nowhere.yaml'], /does not exist/],
  [['inbox', 'migrate', '--database-url', 'mysql://u:s3cr3t-pass@h/db'], /not an address of PostgreSQL/],
])('%j ends with usage and exit code 2', async (args, says) => {
  const ended = await offline(args);
  expect(ended.stderr).toMatch(says);
  expect(ended).toMatchObject({ code: 2, stdout: '' });
  expectClean(ended);
});

test('a consumer of another file is refused by name', async () => {
  const cwd = await folderWith({ 'outbox.yaml': config });
  const ended = await offline(['inbox', 'check', '--config', 'outbox.yaml', '--destination', 'shipping'], {
    cwd,
  });
  expect(ended.stderr).toContain('--destination shipping: outbox.yaml has billing, audit');
  expect(ended.code).toBe(2);
});

test.each([['migrate'], ['check'], ['maintain']])(
  'inbox %s: PostgreSQL away is exit code 3, without the password of the option',
  async (command) => {
    const ended = await offline(['inbox', command, '--database-url', nowhere], {
      databaseUrl: 'postgresql://other:other@127.0.0.1:9/other',
    });
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('cannot use PostgreSQL at 127.0.0.1:9/orders');
    expectClean(ended);
  },
);
