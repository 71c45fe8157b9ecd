/** A Temporal server that authenticates callers: who sent a signal is proved, and two persons are told apart. */
import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import { createRedrives } from '../../src/redrive/index.ts';
import { signals } from '../../workflows/contract.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually } from '../support/index.ts';
import { startTemporalAuth } from '../support/temporalAuth.ts';
import { auditOf, openDeadLetters, openStage, pageOf, settled } from './stage.ts';

test('whom Temporal authenticated is proved, others are claims; two persons discard together, and one of them twice does not', async (context) => {
  onlyWithEverything(context, 'a Temporal server of its own');
  const temporal = await startTemporalAuth();
  const stage = await openStage({
    temporal,
    billing: 'resolutions: { twoPersons: { for: [discard, edit] } }',
  });
  const [ada, bob, nobody] = await Promise.all([
    temporal.clientOf('ada@example.com'),
    temporal.clientOf('bob@example.com'),
    temporal.clientOf(),
  ]);
  const retried = await stage.parkOne();
  stage.heal(retried.id);
  const lines = (workflowId: string, count: number) =>
    eventually(async () => {
      const audit = await auditOf(stage.database, workflowId);
      expect(audit).toHaveLength(count);
      return audit;
    });
  const send = (client: Client, workflowId: string, signal: 'retry' | 'discard', input: object) =>
    client.workflow.getHandle(workflowId).signal(signals[signal], input);
  // Whatever it says of itself.
  await send(nobody, retried.workflowId, 'retry', { actor: 'ada', event: elsewhere });
  await lines(retried.workflowId, 1);
  await send(ada, retried.workflowId, 'retry', { actor: 'the boss' });
  expect(await lines(retried.workflowId, 2)).toMatchObject([
    { outcome: 'refused', actor: 'ada', known: 'claimed', principal: null },
    { outcome: 'done', actor: 'the boss', known: 'proved', principal: 'jwt:ada@example.com' },
  ]);
  await settled(stage.database, [retried.id]);

  const { id, workflowId } = await stage.parkOne();
  await send(nobody, workflowId, 'discard', { actor: 'bob' });
  await lines(workflowId, 1);
  await send(ada, workflowId, 'discard', { reason: 'test order' });
  await lines(workflowId, 2);
  await send(ada, workflowId, 'discard', { actor: 'bob', reason: 'yes, really' });
  expect(await lines(workflowId, 3)).toMatchObject([
    {
      outcome: 'refused',
      known: 'claimed',
      message: expect.stringContaining('proved persons alone') as string,
    },
    { outcome: 'waiting', known: 'proved', principal: 'jwt:ada@example.com' },
    {
      outcome: 'refused',
      principal: 'jwt:ada@example.com',
      message: expect.stringContaining('somebody else') as string,
    },
  ]);
  await eventually(async () =>
    expect(await pageOf(stage.client, workflowId)).toMatch(
      /`discard` by somebody: \*\*waiting\*\*, .*for another one/,
    ),
  );
  expect(await openDeadLetters(stage.database, [id])).toHaveLength(1);
  await send(bob, workflowId, 'discard', { reason: 'agreed' });
  expect((await lines(workflowId, 4))[3]).toMatchObject({
    outcome: 'done',
    principal: 'jwt:bob@example.com',
    message: expect.stringContaining('jwt:ada@example.com had said so first') as string,
  });
  await settled(stage.database, [id]);
});

test('a redrive that is started in Temporal by one person goes once another one has started it, too', async (context) => {
  onlyWithEverything(context, 'a Temporal server of its own');
  const temporal = await startTemporalAuth();
  const stage = await openStage({
    temporal,
    billing: 'resolutions: { twoPersons: { lettersAbove: 2 } }',
  });
  const ids = await stage.park(3);
  stage.heal(...ids);
  const { redrive } = await createRedrives({ db: stage.database.pool, name: stage.database.name }).preview({
    destination: 'billing',
  });
  const startAs = async (subject?: string): Promise<unknown> => {
    const client = await temporal.clientOf(subject);
    return client.workflow.execute('redrive', {
      workflowId: `by-hand-${stage.database.name}`,
      taskQueue: stage.database.taskQueue,
      args: [{ redrive: redrive.id, actor: 'bob' }],
    });
  };
  expect(await startAs()).toMatchObject({
    state: 'previewed',
    refused: expect.stringContaining('proved persons alone') as string,
  });
  expect(await startAs('ada')).toMatchObject({
    state: 'previewed',
    refused: expect.stringContaining('waits until') as string,
  });
  expect(await startAs('ada')).toMatchObject({ refused: expect.stringContaining('somebody else') as string });
  expect(stage.billing.requests).toHaveLength(3);
  expect(await startAs('bob')).toMatchObject({ state: 'done', done: 3 });
  await settled(stage.database, ids);
});

/** Of no event. */
const elsewhere = '00000000-0000-7000-8000-000000000000';
