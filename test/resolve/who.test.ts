/** Who sent a command, as Temporal's history and PostgreSQL know it. */
import { Client } from '@temporalio/client';
import { beforeAll, expect, test } from 'vitest';
import { createOperator } from '../../src/deadletter/operator.ts';
import { signals, type DeliverInput } from '../../workflows/contract.ts';
import { connectTemporal } from '../../src/temporal/connect.ts';
import { atEnd, eventually, servers } from '../support/index.ts';
import { auditOf, openStage, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

test('each signal is noted with the client that sent it, as a claim; two of one name are not mixed up', async () => {
  const { workflowId } = await stage.parkOne();
  const { connection, options } = stage.client;
  const sendAs = (identity: string, signal: 'retry' | 'discard', reason: string) =>
    new Client({ connection, namespace: options.namespace, identity }).workflow
      .getHandle(workflowId)
      .signal(signals[signal], { reason, ...(signal === 'retry' ? { event: elsewhere } : {}) });
  await sendAs('ada@laptop', 'retry', 'first');
  await sendAs('bob@laptop', 'retry', 'second');
  await sendAs('cyd@laptop', 'discard', 'third');
  await eventually(async () =>
    expect(await auditOf(stage.database, workflowId)).toMatchObject([
      { reason: 'first', outcome: 'refused', known: 'claimed', identity: 'ada@laptop', principal: null },
      { reason: 'second', outcome: 'refused', known: 'claimed', identity: 'bob@laptop', principal: null },
      { reason: 'third', outcome: 'done', known: 'claimed', identity: 'cyd@laptop', principal: null },
    ]),
  );
});

/** Of no event. */
const elsewhere = '00000000-0000-7000-8000-000000000000';

test('a command that was announced in SQL is noted with the database user who announced it', async () => {
  const { id, workflowId } = await stage.parkOne();
  const { database } = stage;
  const { temporalAddress: address, temporalNamespace: namespace } = servers();
  const temporal = await connectTemporal({ address, namespace });
  atEnd(() => temporal.close());
  const [{ name }] = (await database.rows<{ name: string | null }>('select name from outbox.settings')) as [
    { name: string | null },
  ];
  const operator = await createOperator({ db: database.pool, temporal, name, searchAttributes: true });
  const target = { id: 1, eventId: id, destination: 'billing', workflowId };
  await operator.resolveDeadLetter(target, { action: 'discard', actor: 'ann', reason: 'test order' });
  const [{ login }] = (await database.rows<{ login: string }>('select session_user::text as login')) as [
    { login: string },
  ];
  expect(await auditOf(database, workflowId)).toMatchObject([
    { actor: 'ann', known: 'session_user', session_user: login, before: [{ state: 'parked' }] },
  ]);
});

test('an input that names a signal of somebody else proves nothing', async () => {
  const { client, database } = stage;
  const first = await stage.parkOne();
  const second = await stage.parkOne();
  const ada = new Client({
    connection: client.connection,
    namespace: client.options.namespace,
    identity: 'ada@laptop',
  });
  const { runId } = await client.workflow.getHandle(first.workflowId).describe();
  await ada.workflow.getHandle(first.workflowId).signal(signals.discard);
  await eventually(async () =>
    expect(await auditOf(database, first.workflowId)).toMatchObject([{ identity: 'ada@laptop' }]),
  );
  const forged = { action: 'discard', commandId: 'forged', origin: { runId, nth: 1 } } as const;
  const input: DeliverInput = {
    lane: 'billing',
    firstAttempt: 'activity',
    timeoutMs: 15_000,
    searchAttributes: true,
    carriedOver: [forged],
  };
  await client.workflow.start('deliver', {
    workflowId: second.workflowId,
    taskQueue: database.taskQueue,
    args: [input],
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
  });
  await eventually(async () =>
    expect(await auditOf(database, second.workflowId)).toMatchObject([
      { outcome: 'done', known: 'claimed', identity: null },
    ]),
  );
});
