/** An alert on its way: found by the running relay, delivered like any event. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  inTurn,
  startReceiver,
  startRun,
} from '../support/index.ts';

test('a parked event reaches ops and a Slack webhook once, signed and retried as any event is', async () => {
  const [database, billing, ops, chat] = await Promise.all([
    createTestDatabase(),
    startReceiver({ answer: 422 }),
    startReceiver(),
    startReceiver({ answer: inTurn(500, 200) }),
  ]);
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  await applyTestConfig(
    database,
    `destinations:
  billing: { type: http, url: '${billing.url}' }
  ops: { type: http, url: '${ops.url}', signing: { scheme: standard-webhooks, secrets: ['${secret}'] } }
  chat: { type: http, url: '${chat.url}', retry: { initialInterval: 100ms } }
routes: [{ match: '*', to: [billing] }]
alerts: { to: [ops], slack: [chat], every: 1s }
`,
  );
  await startRun({ databaseUrl: database.url });
  await enqueue(database.pool, { type: 'order.created', payload: {} }, { ownTransaction: true });
  await eventually(
    () => {
      expect(ops.requests).toHaveLength(1);
      expect(chat.requests).toHaveLength(2);
    },
    { timeout: 20_000 },
  );
  expect(ops.requests[0]?.headers).toHaveProperty('webhook-signature');
  const text = expect.stringContaining('1 dead letter at billing') as unknown;
  expect(JSON.parse(String(ops.requests[0]?.body))).toMatchObject({ text, alerts: [{ kind: 'parked' }] });
  expect(JSON.parse(String(chat.requests[1]?.body))).toEqual({ text });
  expect(billing.requests.every(({ headers }) => headers['outbox-event-type'] !== 'outbox.alert')).toBe(true);
});
