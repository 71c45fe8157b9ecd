/** No secret in what a process logs, exports or answers, whatever the servers say. */
import { expect, test } from 'vitest';
import { redactorFor } from '../../src/core/redact.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startReceiver,
} from '../support/index.ts';
import { folderWith } from '../cli/commands.ts';

const secrets = {
  BILLING_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
  BILLING_TOKEN: 'tok-0123456789-of-billing',
  BILLING_API_KEY: 'key-9876543210-of-billing',
};

test('secrets in headers, addresses, errors and answers stay out of logs, metrics and health', async () => {
  const database = await createTestDatabase();
  const password = 'pa55word-of-postgres';
  await database.pool.query(`create role "${database.name}" login superuser password '${password}'`);
  // It says back what it was sent, as careless services do.
  const receiver = await startReceiver({
    answer: ({ headers, path }) => ({
      status: 422,
      body: `refused: ${headers.authorization} ${path} ${JSON.stringify(headers)}`,
    }),
  });
  await applyTestConfig(
    database,
    `
    destinations:
      billing:
        type: http
        url: '${receiver.url}/\${BILLING_TOKEN}'
        headers: { x-api-key: env:BILLING_API_KEY }
        auth: { bearer: env:BILLING_TOKEN }
        signing: { scheme: standard-webhooks, secrets: [env:BILLING_SECRET] }
    routes: [{ match: '*', to: [billing] }]`,
    secrets,
  );
  const url = new URL(database.url);
  Object.assign(url, { username: database.name, password });
  const spawned = spawnRun({
    databaseUrl: url.href,
    env: { ...secrets, OUTBOX_METRICS_LISTEN: '127.0.0.1:0', OUTBOX_LOG_LEVEL: 'debug' },
    cwd: await folderWith(),
  });
  const endpoint = await eventually(() => {
    const line = spawned
      .stdout()
      .split('\n')
      .find((each) => each.includes('"msg":"running"'));
    expect(line).toBeDefined();
    const { endpoints, ...running } = JSON.parse(line ?? '') as { endpoints: { metrics: string } };
    expect(running).toMatchObject({
      level: 'info',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      name: database.name,
      roles: ['relay', 'worker'],
      destinations: ['billing'],
      lanes: 1,
      configRevision: 1,
    });
    return endpoints.metrics;
  });
  await enqueue(
    database.pool,
    {
      type: 'order.a',
      payload: 1,
      headers: { authorization: secrets.BILLING_TOKEN },
    },
    { ownTransaction: true },
  );
  await eventually(() => expect(spawned.stdout()).toContain('parked: waits for a person'));
  expect(receiver.requests[0]?.headers.authorization).toBe(`Bearer ${secrets.BILLING_TOKEN}`);
  // PostgreSQL turns this process away, and says why.
  await database.pool.query(`alter role "${database.name}" nologin`);
  await database.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${database.name}'`,
  );
  const answers = await eventually(async () => {
    const response = await fetch(`${endpoint}/readyz`);
    expect(response.status).toBe(503);
    const others = await Promise.all(
      ['/metrics', '/healthz', '/nothing'].map((path) => fetch(`${endpoint}${path}`)),
    );
    return [response, ...others];
  });
  const texts = await Promise.all(answers.map((answer) => answer.text()));
  await database.pool.query(`alter role "${database.name}" login`);
  await spawned.kill('SIGTERM');
  const everything = [spawned.stdout(), spawned.stderr(), ...texts].join('\n');
  for (const secret of [password, ...Object.values(secrets)]) expect(everything).not.toContain(secret);
  const lines = spawned.stdout().trimEnd().split('\n');
  expect(() => lines.map((line) => JSON.parse(line) as unknown)).not.toThrow();
  await database.pool.query(`drop role "${database.name}"`);
});

test('what is hidden: named secrets, escaped too, and users of URLs; ordinary words stay', () => {
  const redact = redactorFor({
    API_KEY: 'a"quoted\\secret',
    DATABASE_URL: 'postgresql://u:p%40ssw0rd%2F1@h/d',
    PGPASSWORD: 'outbox',
    HOME: '/home/someone',
  });
  expect(redact(JSON.stringify({ error: 'bad a"quoted\\secret' }))).toBe('{"error":"bad ***"}');
  expect(redact('password p@ssw0rd/1, p%40ssw0rd%2F1')).toBe('password ***, ***');
  expect(redact('at https://me:hunter2@host/x and amqp://token@host')).toBe(
    'at https://***@host/x and amqp://***@host',
  );
  expect(redact('temporal-outbox in /home/someone')).toBe('temporal-outbox in /home/someone');
});

test.each([
  [['--metrics-listen', '9464']],
  [['--metrics-listen', '127.0.0.1:99999']],
  [['--log-level', 'loud']],
])('run %j is wrong use', async (args) => {
  const ended = await runCli(['run', ...args], { databaseUrl: 'postgresql://nobody@127.0.0.1:1/none' });
  expect([ended.code, ended.stdout]).toEqual([2, '']);
});

test('an environment that says where to listen in a way nobody understands is wrong use too', async () => {
  const env = { OUTBOX_METRICS_LISTEN: 'everywhere' };
  const ended = await runCli(['run'], { databaseUrl: 'postgresql://nobody@127.0.0.1:1/none', env });
  expect([ended.code, ended.stdout]).toEqual([2, '']);
});

test('a port that is taken ends the start, and the flag goes before the configuration', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]
    metrics: { listen: '127.0.0.1:${receiver.port}' }`,
  );
  const cwd = await folderWith();
  const refused = await runCli(['run'], { databaseUrl: database.url, cwd });
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining('OUTBOX_LISTEN_FAILED') as string,
  ]);
  const fine = spawnRun({ databaseUrl: database.url, cwd, args: ['run', '--metrics-listen', 'off'] });
  await eventually(() => expect(fine.stdout()).toContain('"endpoints":{}'));
  await fine.kill('SIGTERM');
});
