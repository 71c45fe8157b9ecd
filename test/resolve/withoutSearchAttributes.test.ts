/** In a namespace that nobody prepared for us everything works; workflow ids answer what search attributes would. */
import { Client, Connection } from '@temporalio/client';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { signals } from '../../workflows/contract.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  inTurn,
  servers,
  startReceiver,
  startRun,
  uniqueName,
} from '../support/index.ts';
import { openDeadLetters, pageOf, settled, statusOf } from './stage.ts';

test('without search attributes an event is delivered, another parked, and resolved by signal', async () => {
  const { temporalAddress } = servers();
  const connection = await Connection.connect({ address: temporalAddress });
  atEnd(() => connection.close());
  const namespace = uniqueName('plain');
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  const client = new Client({ connection, namespace });
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: inTurn(422, 204) });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const running = await eventually(
    () => startRun({ databaseUrl: database.url, temporal: { address: temporalAddress, namespace } }),
    // A namespace takes some seconds to reach every part of the server.
    { timeout: 40_000, interval: 1_000 },
  );
  expect(running.logged.map(({ message }) => message)).toContain(
    'search attributes are not registered; workflow ids serve instead',
  );
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: {} },
    { ownTransaction: true },
  );
  await eventually(async () => expect(await openDeadLetters(database, [id])).toHaveLength(1));
  const workflowId = `${database.name}/deliver/billing/${id}`;
  await eventually(async () => expect(await pageOf(client, workflowId)).toContain('1 delivery parked'));
  expect((await client.workflow.getHandle(workflowId).describe()).searchAttributes).not.toHaveProperty(
    'OutboxState',
  );
  await client.workflow.getHandle(workflowId).signal(signals.retry);
  await settled(database, [id]);
  await eventually(async () => expect(await statusOf(client, workflowId)).toBe('COMPLETED'));
});
