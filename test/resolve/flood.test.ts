import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { expect, test } from 'vitest';
import { startTemporal } from '../../src/embedded/index.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { signals } from '../../workflows/contract.ts';
import { onlyWithEverything } from '../support/everything.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { openDeadLetters, pageOf, settled, statusOf } from './stage.ts';

/** A run of a workflow takes 10,000; the server refuses more until the next run has begun, and tells the sender so. */
const sent = 10_001;
const atOnce = 25;

async function untilTaken(signal: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await signal();
    } catch (error) {
      const { cause } = error as Error;
      if (!String(cause).includes('limit for signal events')) throw error;
      await sleep(100);
    }
  }
}

test('10,001 signals, more than Temporal takes in one run, are all counted, and the parked rows go on waiting', async (context) => {
  onlyWithEverything(context, 'signals by the ten thousand');
  // Of its own: the flood would hold up the tests beside it.
  const server = await startTemporal({ headless: true, dynamicConfig: { 'frontend.namespaceRPS': 20_000 } });
  atEnd(() => server.stop());
  const connection = await Connection.connect({ address: server.address });
  atEnd(() => connection.close());
  const client = new Client({ connection, namespace: server.namespace });
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  await startRun({
    databaseUrl: database.url,
    temporal: { address: server.address, namespace: server.namespace },
  });
  const events = Array.from({ length: 8 }, () => ({ type: 'order.created', payload: {} }));
  const ids = (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  await eventually(async () => expect(await openDeadLetters(database, ids)).toHaveLength(8));
  const workflowId = (await openDeadLetters(database, ids))[0]?.workflow_id ?? '';
  await eventually(async () => expect(await pageOf(client, workflowId)).toContain('8 deliveries parked'));
  const handle = client.workflow.getHandle(workflowId);
  const firstRun = (await handle.describe()).runId;

  let next = 0;
  const sender = async (): Promise<void> => {
    while (next < sent) {
      const number = next++;
      // A name alone is refused: eight are parked.
      await untilTaken(() => handle.signal(signals.discard, { actor: `sender ${number}` }));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sender));
  await eventually(
    async () => {
      const [counted] = await database.rows(
        'select count(*)::int, count(distinct actor)::int as actors, count(distinct outcome)::int as outcomes from outbox.audit',
      );
      expect(counted).toEqual({ count: sent, actors: sent, outcomes: 1 });
    },
    { timeout: 120_000, interval: 200 },
  );
  await eventually(async () => expect((await handle.describe()).runId).not.toBe(firstRun));
  expect(await statusOf(client, workflowId)).toBe('RUNNING');
  expect(await openDeadLetters(database, ids)).toHaveLength(8);

  receiver.answer(204);
  await handle.signal(signals.retry);
  await settled(database, ids);
}, 300_000);
