/** What one process has not got yet: a rotation under a new name, `config apply` before the roll-out. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';

const secretOf = (fill: number): string => `whsec_${Buffer.alloc(32, fill).toString('base64')}`;

/** Keys of the destination, and what a process needs for them. */
const kinds = {
  'a signing secret': {
    keys: 'signing: { scheme: standard-webhooks, secrets: [env:NEW] }',
    value: secretOf(2),
  },
  'a bearer token': { keys: 'auth: { bearer: env:NEW }', value: 'a-token-of-sixteen' },
  'a header': { keys: 'headers: { x-api-key: env:NEW }', value: 'a-key-of-sixteen-c' },
  'a part of the address': { keys: '', value: 'hook' },
} as const;
type Kind = keyof typeof kinds;
const every = Object.keys(kinds) as Kind[];

function configOf({ url }: Receiver, kind: Kind | null, other = false): string {
  const keys = kind === null ? '' : kinds[kind].keys;
  const address = kind === 'a part of the address' ? url.replace(/hook$/, '${NEW}') : url;
  const billing = `billing: { type: http, url: '${address}'${keys === '' ? '' : `, ${keys}`} }`;
  return `
    destinations: { ${other ? '' : `${billing}, `}standing: { type: http, url: '${url}' } }
    routes: [{ match: 'order.*', to: [${other ? 'standing' : 'billing'}] }]`;
}

async function send(database: TestDatabase, count: number): Promise<void> {
  await enqueue(
    database.pool,
    Array.from({ length: count }, (_, number) => ({ type: 'order.created', payload: { number } })),
    { ownTransaction: true },
  );
}

async function expectAllWell(database: TestDatabase, count: number): Promise<void> {
  await eventually(async () => {
    expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(count);
  });
  expect(await database.rows('select 1 from outbox.dead_letters')).toEqual([]);
  expect(await database.rows('select 1 from outbox.attempts')).toEqual([]);
  expect(await database.rows('select 1 from outbox.destinations where paused_at is not null')).toEqual([]);
}

test.each(every)(
  '%s that one of two processes has not got yet: both go on, nothing is parked, and that one says so',
  async (kind) => {
    const [database, receiver] = await Promise.all([createTestDatabase(), startReceiver()]);
    await applyTestConfig(database, configOf(receiver, null));
    const lacking = await startRun({
      databaseUrl: database.url,
      env: {},
      metricsListen: { host: '127.0.0.1', port: 0 },
    });
    await startRun({ databaseUrl: database.url, env: { NEW: kinds[kind].value } });
    await send(database, 10);
    await applyTestConfig(database, configOf(receiver, kind), { NEW: kinds[kind].value });
    for (let round = 0; round < 5; round++) {
      await send(database, 10);
      await expectAllWell(database, 20 + round * 10);
    }
    // It learns of the configuration with its next attempt, if it gets one.
    const said = lacking.logged.filter(({ level }) => level === 'error');
    for (const { fields } of said)
      expect(fields).toMatchObject({
        destination: 'billing',
        problem: expect.stringContaining('NEW') as string,
      });
  },
);

test.each(every)(
  '%s of a new destination that no process has: its events wait, uncharged, until one comes that has it',
  async (kind) => {
    const [database, receiver] = await Promise.all([createTestDatabase(), startReceiver()]);
    await applyTestConfig(database, configOf(receiver, null, true));
    const lacking = await startRun({ databaseUrl: database.url, env: {} });
    await send(database, 1);
    await expectAllWell(database, 1);
    await applyTestConfig(database, configOf(receiver, kind), { NEW: kinds[kind].value });
    await send(database, 20);
    await eventually(() =>
      expect(lacking.logged).toContainEqual(
        expect.objectContaining({
          level: 'error',
          message: expect.stringContaining('left to processes that can') as string,
        }),
      ),
    );
    await eventually(async () =>
      expect(
        await database.rows(
          'select state, attempts, tries, count(*)::int as n from outbox.deliveries group by 1, 2, 3',
        ),
      ).toEqual([{ state: 'pending', attempts: 0, tries: 0, n: 20 }]),
    );
    await eventually(async () =>
      expect(
        await database.rows(`select unable from outbox.relays where 'billing' = any (unable)`),
      ).toHaveLength(1),
    );
    await startRun({ databaseUrl: database.url, env: { NEW: kinds[kind].value } });
    await expectAllWell(database, 21);
  },
);

test('a pause whose cause was a process that could not send is lifted by one that can; others stay', async () => {
  const [database, receiver] = await Promise.all([createTestDatabase(), startReceiver()]);
  await applyTestConfig(database, configOf(receiver, null));
  await database.pool.query(
    `select outbox.pause_destination('billing', '20 events in a row got bad-configuration', true)`,
  );
  await database.pool.query(
    `update outbox.circuits set last_error_class = 'bad-configuration' where destination = 'billing'`,
  );
  await database.pool.query(`select outbox.pause_destination('standing', 'maintenance')`);
  await send(database, 5);
  await startRun({ databaseUrl: database.url });
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(5));
  expect(await database.rows('select name from outbox.destinations where paused_at is not null')).toEqual([
    { name: 'standing' },
  ]);
});
