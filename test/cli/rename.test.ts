/** `config rename`: another name for a database, while nothing is open in it. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  temporalClient,
  uniqueName,
} from '../support/index.ts';
import { expectClean, json, jsonError } from './commands.ts';

async function stage() {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
  const rename = (...args: string[]) =>
    runCli(['config', 'rename', '--json', ...args], { databaseUrl: database.url });
  return { database, receiver, rename };
}

test('says what it does, does it with --yes, and events go on under the new name', async () => {
  const { database, receiver, rename } = await stage();
  const name = uniqueName('renamed');
  expect(json(await rename(name))).toMatchObject({ from: database.name, to: name, renamed: false });
  expect(await database.rows('select name from outbox.settings')).toEqual([{ name: database.name }]);
  // What waits is held by no workflow: it is in nobody's way.
  await enqueue(database.pool, { type: 'order.created', payload: { id: 1 } }, { ownTransaction: true });
  expect(json(await rename(name, '--yes'))).toMatchObject({
    renamed: true,
    taskQueue: `temporal-outbox-${name}`,
  });
  expect(await database.rows(`select action, message from outbox.audit where action = 'rename'`)).toEqual([
    { action: 'rename', message: `named ${name}, before ${database.name}` },
  ]);
  const running = await startRun({ databaseUrl: database.url });
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  // Bound by now, and somebody is at work.
  const busy = await rename('another', '--yes');
  expect(busy.code).toBe(1);
  expect(jsonError(busy)).toMatchObject({
    code: 'OUTBOX_COMMAND_REFUSED',
    message: expect.stringContaining('relays alive') as string,
  });
  await running.stop();
  const client = await temporalClient();
  expect((await client.workflow.getHandle(`${name}/housekeeping`).describe()).status.name).toBe('RUNNING');
});

test('is refused while something is parked, and for what is no name', async () => {
  const { database, rename } = await stage();
  await enqueue(database.pool, { type: 'order.created', payload: {} }, { ownTransaction: true });
  await database.rows(
    `update outbox.deliveries set state = 'claimed', batch_id = gen_random_uuid() where state = 'pending' returning 1`,
  );
  const refused = await rename('orders', '--yes');
  expectClean(refused);
  expect(jsonError(refused)).toMatchObject({
    code: 'OUTBOX_COMMAND_REFUSED',
    message: 'work is open under this name: 1 deliveries claimed, retried or parked',
  });
  for (const args of [[], ['Orders'], ['a/b'], ['orders', '--none']])
    expect((await rename(...args, '--yes')).code).toBe(2);
});
