/** Receivers that users write: the Hono example, and one in Python from docs/receivers.md alone. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { consumerDatabase, uuid7 } from '../inbox/fixtures.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  requires,
  startRun,
  startTcpProxy,
} from '../support/index.ts';
import { repository, startProcess } from './process.ts';
import { answerToHead, deliver, post, secret, signed } from './stage.ts';

const execute = promisify(execFile);

test('the Hono example has the effect once', async () => {
  const database = await consumerDatabase();
  await database.pool.query('create table shipments ("order" text, note text)');
  const { said } = await startProcess(process.execPath, [join('examples', 'receivers', 'hono.mjs')], {
    DATABASE_URL: database.url,
    SHIPPING_SECRET: secret,
    PORT: '0',
  });
  const url = `http://127.0.0.1:${said.replace('listening on ', '')}/hooks`;
  const id = uuid7();
  const headers = { 'outbox-event-type': 'order.paid' };
  const answers = [
    await deliver(url, id, '{"id": "o-1"}', headers),
    await deliver(url, id, '{"id": "o-1"}', headers),
  ];
  expect(answers.map(({ status, headers: given }) => [status, given.get('outbox-inbox')])).toEqual([
    [204, 'processed'],
    [204, 'duplicate'],
  ]);
  expect((await post(url, { body: '{}', headers: signed(id, '{ }') })).status).toBe(401);
  expect(await database.rows('select * from shipments')).toEqual([{ order: 'o-1', note: 'order.paid' }]);
});

test('a receiver in Python, by the docs alone, does each message once over a wire that loses answers', async () => {
  const python = requires.python('standardwebhooks');
  const program = join('test', 'receiver', 'python', 'receive.py');
  const folder = await mkdtemp(join(tmpdir(), 'outbox-python-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const invoices = join(folder, 'billing.db');
  const { said: port } = await startProcess(python, [program], {
    BILLING_SECRET: secret,
    BILLING_DATABASE: invoices,
    PORT: '0',
  });
  const proxy = await startTcpProxy(`127.0.0.1:${port}`);
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations:
      billing:
        type: http
        url: http://${proxy.address}/hooks
        timeout: 500ms
        signing: { scheme: standard-webhooks, secrets: [env:BILLING_SECRET] }
        retry: { initialInterval: 100ms, maximumInterval: 1s }
        circuit: { enabled: false }
    routes: [{ match: '*', to: [billing] }]`,
    { BILLING_SECRET: secret },
  );
  const handled = async (): Promise<{ invoices: string[]; keys: number }> => {
    const read = `import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=5)
print(json.dumps({"invoices": [row[0] for row in db.execute("select body from invoices")], "keys": db.execute("select count(*) from handled").fetchone()[0]}))`;
    return JSON.parse((await execute(python, ['-c', read, invoices])).stdout) as never;
  };
  await proxy.become('drop-reply');
  await startRun({ databaseUrl: database.url, env: { BILLING_SECRET: secret } });
  const payloads = Array.from({ length: 30 }, (_, number) => ({ number, note: 'café ☃' }));
  await enqueue(
    database.pool,
    payloads.map((payload) => ({ type: 'order.created', payload })),
    { ownTransaction: true },
  );
  // All effects are there, and no answer has come back: each of them will be sent again.
  await eventually(async () => expect((await handled()).keys).toBe(30), { interval: 200 });
  expect(await database.rows('select 1 from outbox.delivered')).toEqual([]);
  await proxy.become('pass');
  await eventually(async () =>
    expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(30),
  );
  const done = await handled();
  expect(done.keys).toBe(30);
  expect(done.invoices.map((body) => JSON.parse(body) as object).sort(byNumber)).toEqual(payloads);

  const url = `http://127.0.0.1:${port}/hooks`;
  expect((await post(url, { body: '{}', headers: signed(uuid7(), '{ }') })).status).toBe(401);
  expect((await post(url, { body: '{}' })).status).toBe(401);

  // What would have it wait for a body that never ends, or for one of a stranger, is answered by its head.
  const good = { ...signed(uuid7(), '{}'), 'content-length': '2' };
  for (const [wrong, status] of [
    [{ 'content-length': '-1' }, 411],
    [{ 'content-length': '+2' }, 411],
    [{ 'content-length': '²' }, 411],
    [{ 'content-length': '2, 3' }, 411],
    [{ 'content-length': undefined }, 411],
    [{ 'content-length': undefined, 'transfer-encoding': 'chunked' }, 411],
    [{ 'transfer-encoding': 'chunked' }, 411],
    [{ 'content-length': '2', 'Content-Length': '3' }, 411],
    [{ 'content-length': '9999999' }, 413],
    [{ 'content-length': '1'.repeat(400) }, 413],
    [{ 'webhook-signature': undefined }, 401],
  ] as const)
    expect([wrong, await answerToHead(url, { ...good, ...wrong })]).toEqual([
      wrong,
      expect.stringMatching(new RegExp(`^HTTP/1.1 ${status} `)),
    ]);
  expect((await post(url, { headers: signed(uuid7(), 'no JSON'), body: 'no JSON' })).status).toBe(422);
  expect((await deliver(url, uuid7())).status).toBe(204);
}, 90_000);

const byNumber = (a: object, b: object): number =>
  (a as { number: number }).number - (b as { number: number }).number;

test('the program in docs/receivers.md is the one that was tested', async () => {
  const docs = await readFile(join(repository, 'docs', 'receivers.md'), 'utf8');
  const program = await readFile(join(repository, 'test', 'receiver', 'python', 'receive.py'), 'utf8');
  expect(docs.includes(`\`\`\`python\n${program}\`\`\`\n`)).toBe(true);
});
