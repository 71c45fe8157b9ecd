import { beforeEach, expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  uniqueName,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';
import { expectClean, folderWith, json, jsonError } from './commands.ts';

let database: TestDatabase;
let receiver: Receiver;

beforeEach(async () => {
  database = await createTestDatabase();
  receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
});

/** The address of the test's database for a user who has one role and nothing else. */
async function userWith(role: string): Promise<string> {
  const name = uniqueName('user');
  await database.pool.query(`create role "${name}" login password 's3cr3t-pass' in role ${role}`);
  atEnd(() => database.pool.query(`drop role "${name}"`));
  const url = new URL(database.url);
  url.username = name;
  url.password = 's3cr3t-pass';
  return url.href;
}

test('a producer may send, and is told plainly what it may not', async () => {
  const databaseUrl = await userWith('outbox_producer');
  const sent = await runCli(['send', 'order.created', '-p', '1', '--json'], { databaseUrl });
  expect(json(sent)).toMatchObject({ inserted: true, routed: null, encrypted: false });
  expect(sent.stderr).toContain('may not see whether payloads are to be encrypted');
  const refused = await runCli(['status'], { databaseUrl });
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/permission denied.*\n.*outbox_operator/);
  expectClean(refused);
  const migrating = await runCli(['migrate', '--skip-config', '--json'], { databaseUrl });
  expect(jsonError(migrating)).toMatchObject({
    code: 'OUTBOX_POSTGRES_DENIED',
    hint: expect.stringContaining('outbox_migrator') as string,
  });
  const doctor = await runCli(['doctor'], { databaseUrl });
  expect(doctor.stdout).toMatch(/^schema: Grant outbox_operator/m);
});

test('an operator may look, resolve, edit and apply', async () => {
  await startRun({ databaseUrl: database.url });
  const { id: eventId } = await enqueue(
    database.pool,
    { type: 'order.created', payload: 1 },
    { ownTransaction: true },
  );
  const databaseUrl = await userWith('outbox_operator');
  const cwd = await folderWith({
    'outbox.yaml': `name: ${database.name}\ndestinations: { billing: { type: http, url: '${receiver.url}' } }\nroutes: []\n`,
  });
  const run = async (args: readonly string[]) =>
    json(await runCli([...args, '--json'], { databaseUrl, cwd }));
  await eventually(async () => expect(await run(['dlq', 'list'])).toMatchObject({ items: [{ eventId }] }));
  expect(await run(['status'])).toMatchObject({ destinations: [{ parked: 1 }] });
  expect(await run(['doctor'])).toMatchObject({ ok: true });
  expect(await run(['dlq', 'show', '1'])).toMatchObject({ eventId, event: { payloadText: '1' } });
  receiver.answer(204);
  expect(await run(['dlq', 'edit', '1', '--payload', '2'])).toMatchObject({ done: 1 });
  await eventually(() => expect(receiver.of(eventId)[1]?.body.toString()).toBe('2'));
  expect(await run(['config', 'apply'])).toMatchObject({ revision: 2, changed: true });
});
