/** Two persons over real servers: by the command line's way, the dashboard's and a signal, with the worker restarted between. */
import { expect, test } from 'vitest';
import { createOperator } from '../../src/deadletter/operator.ts';
import { operatingWith } from '../../src/dashboard/operating.ts';
import { connectTemporal } from '../../src/temporal/connect.ts';
import { connect } from '../../src/storage/connect.ts';
import { signals } from '../../workflows/contract.ts';
import { atEnd, eventually, runCli, servers, startRun, uniqueName } from '../support/index.ts';
import { auditOf, openDeadLetters, openStage, pageOf, settled, type Stage } from './stage.ts';

const code = 'OUTBOX_SECOND_PERSON_NEEDED';

test('one person’s discard waits, over a restart too, until another one says the same; claims and the dashboard count for nobody', async () => {
  const stage = await openStage({
    billing: 'resolutions: { twoPersons: { for: [discard], lettersAbove: 2 } }',
  });
  const [ada, bob] = [await person(stage), await person(stage)];
  const { id, workflowId } = await stage.parkOne();
  const [letter] = await openDeadLetters(stage.database, [id]);
  const target = { id: Number(letter?.id), eventId: id, destination: 'billing', workflowId };
  const asked = { action: 'discard', actor: 'ada', reason: 'test order' } as const;

  await stage.client.workflow.getHandle(workflowId).signal(signals.discard, { actor: 'ada' });
  await eventually(async () =>
    expect(await auditOf(stage.database, workflowId)).toMatchObject([
      { outcome: 'refused', known: 'claimed' },
    ]),
  );
  await eventually(async () =>
    expect(await pageOf(stage.client, workflowId)).toContain('proved persons alone count'),
  );
  const { operator: dashboards } = await operatingWith(ada.db, () => ada.temporal).get();
  expect(await dashboards.resolveDeadLetter(target, asked)).toMatchObject({ outcome: 'refused', code });

  expect(await ada.operator.resolveDeadLetter(target, asked)).toMatchObject({ outcome: 'waiting', code });
  await eventually(async () =>
    expect(await pageOf(stage.client, workflowId)).toMatch(/`discard` by ada: \*\*waiting\*\*/),
  );
  const shown = await runCli(['dlq', 'show', String(target.id)], { databaseUrl: stage.database.url });
  expect(shown.stdout).toMatch(
    new RegExp(`waits for a second person\\n +discard, said by ${ada.login} \\(test order\\); until`),
  );

  await stage.running.stop();
  await startRun({ databaseUrl: stage.database.url });
  expect(await ada.operator.resolveDeadLetter(target, { ...asked, actor: 'bob' })).toMatchObject({
    outcome: 'refused',
    message: expect.stringContaining('somebody else') as string,
  });
  expect(await openDeadLetters(stage.database, [id])).toHaveLength(1);
  expect(await bob.operator.resolveDeadLetter(target, { ...asked, actor: 'bob' })).toMatchObject({
    outcome: 'done',
  });
  await settled(stage.database, [id]);
  expect(await auditOf(stage.database, workflowId)).toMatchObject([
    { outcome: 'refused', known: 'claimed' },
    { outcome: 'refused', known: 'session_user', session_user: ada.login },
    { outcome: 'waiting', known: 'session_user', session_user: ada.login },
    { outcome: 'refused', session_user: ada.login },
    { outcome: 'done', session_user: bob.login },
  ]);
});

test('a large redrive by the command line: the first start says who else is needed, the second one starts it', async () => {
  const stage = await openStage({ billing: 'resolutions: { twoPersons: { lettersAbove: 2, within: 30m } }' });
  const [ada, bob] = [await person(stage), await person(stage)];
  const ids = await stage.park(3);
  stage.heal(...ids);
  const redrive = (databaseUrl: string, ...args: string[]) => runCli(['redrive', ...args], { databaseUrl });
  const first = await redrive(ada.url, 'start', '--destination', 'billing', '--yes');
  expect(first.code).toBe(1);
  expect(first.stderr).toMatch(
    new RegExp(`${code} not done: redrive 1, retry of 3 letters, takes two persons at billing: it waits`),
  );
  const status = await redrive(stage.database.url, 'status', '1');
  expect(status.stdout).toMatch(
    new RegExp(`waits +for a second person: retry of 3 letters, said by ${ada.login}`),
  );
  expect(status.stdout).toMatch(/commands\n .*start by .* via sql: waiting/);
  expect((await redrive(ada.url, 'start', '1', '--yes')).stderr).toContain('it has to be somebody else');
  const second = await redrive(bob.url, 'start', '1', '--yes', '--follow');
  expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('done 3 of 3') as string });
  await settled(stage.database, ids);
});

/** With a login of their own, which may what operators may. */
async function person({ database }: Stage) {
  const login = uniqueName('ops');
  await database.pool.query(`create role "${login}" login password 'secret' in role outbox_operator`);
  atEnd(() => database.pool.query(`drop role "${login}"`));
  const url = new URL(database.url);
  url.username = login;
  url.password = 'secret';
  const db = connect(url.href, { applicationName: 'test', onIdleError: () => undefined });
  atEnd(() => db.end());
  const { temporalAddress: address, temporalNamespace: namespace } = servers();
  const temporal = await connectTemporal({ address, namespace });
  atEnd(() => temporal.close());
  const operator = await createOperator({ db, temporal, name: database.name, searchAttributes: true });
  return { login, url: url.href, db, temporal: Promise.resolve(temporal), operator };
}
