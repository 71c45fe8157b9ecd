/** Check-backs answered by functions in a worker. */
import { expect, test } from 'vitest';
import { prepareMessage, readMessage, type CheckBackHandlers } from '../../src/index.ts';
import { messageSignals } from '../../workflows/contract.ts';
import { eventually, startReceiver, startRun, temporalClient } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { configure, databaseWithProducer } from './support.ts';

const message = { producer: 'shop', type: 'order.paid', payload: {} };

async function stage(
  checkBacks: CheckBackHandlers,
  checkBack = 'handler: shop, grace: 100ms, timeout: 300ms, schedule: [50ms]',
) {
  const receiver = await startReceiver();
  const database = await databaseWithProducer();
  await configure(database, { receiver: receiver.url, checkBack });
  await startRun({ databaseUrl: database.url, checkBacks });
  return { receiver, database };
}

test('fifteen times unknown: parked, and then resolved by a signal', async (context) => {
  onlyWithEverything(context, 'it waits for fourteen looks');
  const asked: number[] = [];
  const schedule = Array.from({ length: 14 }, () => '20ms').join(', ');
  const { database, receiver } = await stage(
    { shop: ({ check }) => (asked.push(check), 'unknown') },
    `handler: shop, grace: 100ms, schedule: [${schedule}]`,
  );
  const { id } = await prepareMessage(database.pool, message);
  const { workflowId } = await eventually(async () => {
    const found = await readMessage(database.pool, id);
    expect(found).toMatchObject({ state: 'parked', checks: 15, lastAnswer: 'the handler answered unknown' });
    return found;
  });
  expect(asked).toEqual(Array.from({ length: 15 }, (_, index) => index + 1));
  const client = await temporalClient();
  await eventually(() => client.workflow.getHandle(workflowId ?? '').signal(messageSignals.commit));
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
});

test.each<[string, CheckBackHandlers[string], string]>([
  ['throws', () => Promise.reject(new Error('no database')), 'the handler failed: no database'],
  ['does not come back', () => new Promise(() => undefined), 'timeout: no answer within 300 ms'],
  ['answers another word', () => 'perhaps' as never, 'the handler answered "perhaps"'],
])('a handler that %s tells nothing', async (_, handler, why) => {
  const { database } = await stage({ shop: handler });
  const { id } = await prepareMessage(database.pool, message);
  await eventually(async () =>
    expect(await readMessage(database.pool, id)).toMatchObject({
      state: 'parked',
      checks: 2,
      lastAnswer: expect.stringContaining(why) as string,
    }),
  );
});

test('a worker without the handler counts nothing, and one that has it takes over', async () => {
  const { database, receiver } = await stage({});
  const { id } = await prepareMessage(database.pool, message);
  await eventually(async () => expect((await readMessage(database.pool, id)).workflowId).not.toBeNull());
  await startRun({ databaseUrl: database.url, checkBacks: { shop: () => 'committed' } });
  await eventually(() => expect(receiver.of(id)).toHaveLength(1), { timeout: 50_000 });
  expect(await readMessage(database.pool, id)).toMatchObject({ state: 'committed', checks: 0 });
});
