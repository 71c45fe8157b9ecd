/** What one process has not got to ask a producer back: a secret under a new name, `config apply` before the roll-out. */
import { expect, test } from 'vitest';
import { prepareMessage } from '../../src/index.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  type TestDatabase,
} from '../support/index.ts';

const value = { NEW: `whsec_${Buffer.alloc(32, 3).toString('base64')}` };

async function stage() {
  const [database, receiver, shop] = await Promise.all([
    createTestDatabase(),
    startReceiver(),
    startReceiver({ answer: { status: 200, body: '{"answer": "committed"}' } }),
  ]);
  const apply = (signing: string): Promise<unknown> =>
    applyTestConfig(
      database,
      `
      destinations: { billing: { type: http, url: '${receiver.url}' } }
      routes: [{ match: '*', to: [billing] }]
      producers: { shop: { checkBack: { url: '${shop.url}', grace: 100ms, schedule: [50ms]${signing} } } }`,
      value,
    );
  await apply('');
  return {
    ...{ database, receiver, shop },
    askSigned: () => apply(', signing: { scheme: standard-webhooks, secrets: [env:NEW] }'),
  };
}

async function prepare(database: TestDatabase, count: number): Promise<void> {
  for (let number = 0; number < count; number++)
    await prepareMessage(database.pool, { producer: 'shop', type: 'order.paid', payload: { number } });
}

const messages = (database: TestDatabase) =>
  database.rows('select state, checks, count(*)::int as n from outbox.prepared_messages group by 1, 2');

test('a secret that one of two processes has not got: what it cannot ask it leaves to the other, and nothing is counted', async () => {
  const { database, shop, askSigned } = await stage();
  const lacking = await startRun({
    databaseUrl: database.url,
    env: {},
    metricsListen: { host: '127.0.0.1', port: 0 },
  });
  await startRun({ databaseUrl: database.url, env: value });
  await askSigned();
  await eventually(async () => {
    const answer = await fetch(`${lacking.endpoints['metrics']}/readyz`);
    expect([answer.status, await answer.text()]).toEqual([
      503,
      expect.stringMatching(/cannot ask shop back: .*NEW/),
    ]);
  });
  for (let round = 1; round <= 4; round++) {
    await prepare(database, 5);
    await eventually(
      async () => {
        const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
        expect(row?.n).toBe(round * 5);
      },
      { timeout: 60_000 },
    );
  }
  expect(await database.rows(`select 1 from outbox.prepared_messages where state = 'parked'`)).toEqual([]);
  expect(shop.requests.every(({ headers }) => headers['webhook-signature'] !== undefined)).toBe(true);
}, 120_000);

test('a secret that nobody has got: the messages wait uncounted until a process comes that has it', async () => {
  const { database, shop, askSigned } = await stage();
  // Nobody could start with it.
  await askSigned();
  await database.pool.query(`update outbox.settings set config_revision = config_revision`);
  await expect(startRun({ databaseUrl: database.url, env: {} })).rejects.toMatchObject({
    code: 'OUTBOX_SECRET_MISSING',
    message: expect.stringContaining('NEW') as string,
  });
  await prepare(database, 5);
  expect(await messages(database)).toEqual([{ state: 'prepared', checks: 0, n: 5 }]);
  await startRun({ databaseUrl: database.url, env: value });
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(5));
  expect(shop.requests).toHaveLength(5);
});
