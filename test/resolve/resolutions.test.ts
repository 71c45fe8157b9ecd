/** `resolutions` of a destination narrows what signals amount to; whoever is refused is told. */
import { beforeAll, expect, test } from 'vitest';
import { createOperator, type Operator } from '../../src/deadletter/operator.ts';
import { connectTemporal } from '../../src/temporal/connect.ts';
import { signals } from '../../workflows/contract.ts';
import { atEnd, eventually, servers } from '../support/index.ts';
import { auditOf, openDeadLetters, openStage, pageOf, settled, type Stage } from './stage.ts';

let stage: Stage;
let operator: Operator;
beforeAll(async () => {
  stage = await openStage({ billing: 'resolutions: { retry: cli, discard: nobody, redirectTo: [spare] }' });
  const { temporalAddress: address, temporalNamespace: namespace } = servers();
  const temporal = await connectTemporal({ address, namespace });
  atEnd(() => temporal.close());
  const { pool: db, name } = stage.database;
  operator = await createOperator({ db, temporal, name, searchAttributes: true });
});

const code = 'OUTBOX_RESOLUTION_DENIED';

test('a raw signal is refused where a database user has to answer, and a command of the command line is not', async () => {
  const { id, workflowId } = await stage.parkOne();
  await stage.client.workflow.getHandle(workflowId).signal(signals.retry, { actor: 'ada' });
  await eventually(async () =>
    expect(await pageOf(stage.client, workflowId)).toMatch(
      /`retry` by ada: \*\*refused\*\*, .*billing takes retry only from the command line/,
    ),
  );
  expect(await auditOf(stage.database, workflowId)).toMatchObject([
    {
      action: 'retry',
      outcome: 'refused',
      known: 'claimed',
      message: expect.stringContaining(code) as string,
    },
  ]);
  expect(await openDeadLetters(stage.database, [id])).toHaveLength(1);
  stage.heal(id);
  const target = { id: 1, eventId: id, destination: 'billing', workflowId };
  const [answer] = await operator.resolveDeadLetters([target], { action: 'retry', actor: 'ada' });
  expect(answer).toMatchObject({ outcome: 'done' });
  await settled(stage.database, [id]);
});

test('what nobody may is refused whoever asks, with its code; a redirect goes where it may and nowhere else', async () => {
  const { id, workflowId } = await stage.parkOne();
  const target = { id: 1, eventId: id, destination: 'billing', workflowId };
  const asked = { actor: 'ada', reason: 'test' };
  const answers = [
    ...(await operator.resolveDeadLetters([target], { action: 'discard', ...asked })),
    ...(await operator.resolveDeadLetters([target], { action: 'redirect', to: 'elsewhere', ...asked })),
  ];
  expect(answers).toMatchObject([
    { outcome: 'refused', code, message: expect.stringContaining('takes no discard') as string },
    { outcome: 'refused', code, message: expect.stringContaining('redirected to spare alone') as string },
  ]);
  await stage.client.workflow.getHandle(workflowId).signal(signals.redirect, { to: 'spare' });
  await eventually(() => expect(stage.spare.of(id)).toHaveLength(1));
});
