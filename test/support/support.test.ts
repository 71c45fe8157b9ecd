import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  inTurn,
  startReceiver,
  startRun,
  temporalClient,
  verify,
} from './index.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

test('an event written by a test arrives signed at its receiver, refused once and retried', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: inTurn(500, 204) });
  const env = { SECRET: secret };
  await applyTestConfig(
    database,
    `
    destinations:
      billing:
        type: http
        url: ${receiver.url}
        retry: { initialInterval: 100ms }
        signing: { scheme: standard-webhooks, secrets: [env:SECRET] }
    routes: [{ match: '*', to: [billing] }]`,
    env,
  );
  const running = await startRun({ databaseUrl: database.url, env });
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: { total: 1 } },
    { ownTransaction: true },
  );

  const [, second] = await eventually(() => {
    expect(receiver.of(id)).toHaveLength(2);
    return receiver.of(id);
  });
  expect(second).toMatchObject({ method: 'POST', id, key: `billing/${id}`, attempt: 2 });
  expect(second && verify(second, secret)).toEqual({ total: 1 });
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(1));
  expect(running.logged.map(({ message }) => message)).toContain('relay started');
});

test('databases of tests have identities of their own, so that two run beside each other', async () => {
  const databases = [await createTestDatabase(), await createTestDatabase()];
  for (const database of databases) {
    await applyTestConfig(database, `destinations: { x: { type: http, url: 'http://127.0.0.1:9/' } }`);
    await startRun({ databaseUrl: database.url });
  }
  const client = await temporalClient();
  const [a, b] = await Promise.all(
    databases.map(({ name }) => client.workflow.getHandle(`${name}/housekeeping`).describe()),
  );
  expect(a?.taskQueue).not.toBe(b?.taskQueue);
  expect(a?.memo?.['databaseId']).not.toBe(b?.memo?.['databaseId']);
});
