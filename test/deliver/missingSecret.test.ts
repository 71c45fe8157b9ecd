import { expect, test } from 'vitest';
import { applyTestConfig, createTestDatabase, startReceiver, startRun } from '../support/index.ts';

test('a process that lacks a destination’s secret refuses to start, and parks nothing', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  await applyTestConfig(
    database,
    `
destinations:
  billing:
    type: http
    url: ${receiver.url}
    signing: { scheme: standard-webhooks, secrets: [env:BILLING_SECRET] }
routes:
  - match: 'order.*'
    to: [billing]
`,
    { BILLING_SECRET: secret },
  );
  await database.pool.query(`insert into outbox.events (type, payload) values ('order.created', '{}')`);

  await expect(startRun({ databaseUrl: database.url, env: {} })).rejects.toMatchObject({
    code: 'OUTBOX_SECRET_MISSING',
    message: expect.stringMatching(/billing.*BILLING_SECRET/) as string,
  });
  expect(await database.rows('select state from outbox.deliveries')).toEqual([{ state: 'pending' }]);
  expect(await database.rows('select id from outbox.dead_letters')).toEqual([]);
});
