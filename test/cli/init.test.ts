/** The first commands of a newcomer: `init`, `--env-file`, `destinations test`. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { applyTestConfig, createTestDatabase, runCli, startReceiver } from '../support/index.ts';
import { expectClean, folderWith, json, jsonError, offline } from './commands.ts';

test('init writes a configuration that is accepted with the variables it wrote, and overwrites nothing', async () => {
  const cwd = await folderWith();
  const made = json<{ files: string[]; snippet: string }>(await offline(['init', '--json'], { cwd }));
  expect(made.files).toEqual(['outbox.yaml', '.env']);
  expect(made.snippet).toContain("type: 'order.created'");
  expect((await stat(join(cwd, '.env'))).mode & 0o077).toBe(0);
  expect(await readFile(join(cwd, '.env'), 'utf8')).toMatch(/^BILLING_SECRET="whsec_[\w+/]{43}="$/m);
  const check = await offline(['config', 'check', 'outbox.yaml', '--env-file', '.env'], {
    cwd,
    env: { OUTBOX_DATABASE_URL: '' },
  });
  expect(check).toMatchObject({ code: 0, stdout: 'ok outbox.yaml: 1 destination, 1 route\n', stderr: '' });
  const again = await offline(['init', '--json'], { cwd });
  expect(again.code).toBe(2);
  expect(jsonError(again).message).toBe('outbox.yaml is here already; nothing was written');
});

test('init leaves a .env that is there alone, and shows what belongs into it', async () => {
  const cwd = await folderWith({ '.env': 'A=1\n', '.gitignore': '.env\n' });
  const options = ['--destination', 'mail-out', '--url', 'https://mail.example/in', '--type', 'user.*'];
  const ended = await offline(['init', ...options], { cwd });
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expectClean(ended);
  expect(ended.stdout).toMatch(/MAIL_OUT_URL="https:\/\/mail.example\/in"\nMAIL_OUT_SECRET="whsec_/);
  expect(ended.stdout).not.toContain('.gitignore');
  expect(await readFile(join(cwd, '.env'), 'utf8')).toBe('A=1\n');
  expect(await readFile(join(cwd, 'outbox.yaml'), 'utf8')).toContain('match: "user.*"');
});

test('what init is given is checked before anything is written', async () => {
  const cwd = await folderWith();
  const ended = await offline(['init', '--url', 'file:///etc/passwd', '--json'], { cwd });
  expect(ended.code).toBe(2);
  expect(jsonError(ended).code).toBe('OUTBOX_CONFIG_INVALID');
  await expect(stat(join(cwd, 'outbox.yaml'))).rejects.toThrow('ENOENT');
});

test('--env-file sets what is not set already', async () => {
  const text = 'destinations: { a: { type: http, url: "${A_URL}" } }\nroutes: []\n';
  const cwd = await folderWith({
    'outbox.yaml': text,
    vars: 'A_URL=https://a.example\nOUTBOX_DATABASE_URL=\n',
  });
  const explain = ['config', 'explain', '--json', '--env-file', 'vars'];
  const addressOf = async (env: Record<string, string>): Promise<unknown> =>
    JSON.stringify(json(await offline(explain, { cwd, env })));
  expect(await addressOf({})).toContain('https://a.example');
  expect(await addressOf({ A_URL: 'https://b.example' })).toContain('https://b.example');
  expect((await offline([...explain.slice(0, -1), 'nowhere'], { cwd })).code).not.toBe(0);
});

test('a mistake is one line, what was meant, and one line of usage', async () => {
  const one = await offline(['dlq', 'lst']);
  expect(one.stderr).toBe(
    "error OUTBOX_USAGE unknown command 'lst'\n  Did you mean list?\nUsage: temporal-outbox dlq [options] [command]\n",
  );
  const other = await offline(['frobnicate']);
  expect(other.stderr).toMatch(
    /^error OUTBOX_USAGE unknown command 'frobnicate'\n {2}There are: dev, demo, /,
  );
  expect(other.stderr.split('\n')).toHaveLength(4);
});

test('a destination is sent a signed ping that says it is one, and nothing is written down', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const yaml = `
    destinations:
      billing: { type: http, url: '${receiver.url}', signing: { scheme: standard-webhooks, secrets: [env:PING_SECRET] } }
    routes: [{ match: '*', to: [billing] }]`;
  await applyTestConfig(database, yaml, { PING_SECRET: secret });
  const env = { PING_SECRET: secret };
  const ended = await runCli(['destinations', 'test', 'billing'], { databaseUrl: database.url, env });
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout).toMatch(/^ok billing took the ping\n {2}sent +outbox\.ping to POST http/);
  const [request] = receiver.requests;
  const headers = request?.headers as Record<string, string>;
  expect(new Webhook(secret).verify(request?.body ?? '', headers)).toMatchObject({
    ping: true,
    text: expect.stringContaining('A test of destination billing') as string,
  });
  expect(headers).toMatchObject({ 'outbox-event-type': 'outbox.ping' });
  receiver.answer({ status: 422, body: 'no customer' });
  const refused = await runCli(['destinations', 'test', 'billing', '--json'], {
    databaseUrl: database.url,
    env,
  });
  expect(json(refused, 1)).toMatchObject({
    destination: 'billing',
    outcome: { kind: 'refused', permanent: true, status: 422, excerpt: 'no customer' },
  });
  const lacking = await runCli(['destinations', 'test', 'billing', '--json'], { databaseUrl: database.url });
  expect(jsonError(lacking).message).toContain('PING_SECRET');
  const unknown = await runCli(['destinations', 'test', 'biling', '--json'], {
    databaseUrl: database.url,
    env,
  });
  expect(jsonError(unknown)).toMatchObject({
    code: 'OUTBOX_NOT_FOUND',
    hint: expect.stringContaining('billing') as string,
  });
  for (const table of ['events', 'deliveries', 'attempts', 'delivered', 'circuits'])
    expect(await database.rows(`select from outbox.${table}`)).toEqual([]);
});

test('a ping needs no database where a file names the destination', async () => {
  const receiver = await startReceiver();
  const cwd = await folderWith();
  await writeFile(
    join(cwd, 'outbox.yaml'),
    `destinations: { a: { type: http, url: '${receiver.url}' } }\nroutes: []\n`,
  );
  const ended = await offline(['destinations', 'test', 'a', '--config', 'outbox.yaml'], { cwd });
  expect(ended.code, ended.stderr).toBe(0);
  expect(receiver.requests).toHaveLength(1);
});
