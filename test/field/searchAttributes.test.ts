/** Somebody removes our search attributes while `run` runs. They are an extra: all goes on, and says so. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { prepareMessage } from '../../src/index.ts';
import { openDeadLetters, settled, statusOf } from '../resolve/stage.ts';
import { signals } from '../../workflows/contract.ts';
import { writeEvents } from '../crash/drain.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { ownTemporal } from './ownTemporal.ts';
import { onlyWithEverything } from '../support/everything.ts';

const patient = { timeout: 60_000, interval: 250 };

test('removed under a running process: workflows start without them, those in flight split, park and resolve, the process says so; added again, they are used again', async (context) => {
  onlyWithEverything(context, 'it takes half a minute');
  const temporal = await ownTemporal({});
  const { client, env } = temporal;
  const database = await createTestDatabase();
  let answer = 500;
  const receiver = await startReceiver({ answer: () => answer });
  const unknown = await startReceiver({ answer: 503 });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', circuit: { enabled: false }, retry: { initialInterval: 4s, maximumInterval: 4s } }
      audit: { type: http, url: '${receiver.url}', circuit: { enabled: false } }
    routes: [{ match: 'order.*', to: [billing] }]
    producers:
      shop: { checkBack: { url: '${unknown.url}', grace: 1s, schedule: [1s, 1s] } }`,
  );
  const { endpoints, logged } = await startRun({
    databaseUrl: database.url,
    temporal: temporal.settings,
    metricsListen: parseListen('127.0.0.1:0'),
  });
  const workflowOf = (id: string): string => `${database.name}/deliver/billing/${id}`;
  const [parked = '', retrying = ''] = await writeEvents(database.pool, 2);
  await eventually(async () => {
    await statusOf(client, workflowOf(parked));
    await statusOf(client, workflowOf(retrying));
  }, patient);
  // One waits as dead letter, the other to be tried again.
  await temporal.removeAttributes();
  const half = await prepareMessage(database.pool, { producer: 'shop', type: 'order.paid', payload: {} });

  answer = 422;
  await eventually(
    async () => expect(await openDeadLetters(database, [parked, retrying])).toHaveLength(2),
    patient,
  );
  const [later = ''] = await writeEvents(database.pool, 1);
  await eventually(async () => expect(await openDeadLetters(database, [later])).toHaveLength(1), patient);
  answer = 204;
  await client.workflow.getHandle(workflowOf(parked)).signal(signals.retry);
  for (const id of [retrying, later]) {
    const [letter] = await openDeadLetters(database, [id]);
    const ended = await runCli(['dlq', 'retry', String(letter?.id)], { databaseUrl: database.url, env });
    expect(ended.code, ended.stderr).toBe(0);
  }
  await settled(database, [parked, retrying, later], patient);
  for (const id of [parked, retrying, later])
    await eventually(async () => expect(await statusOf(client, workflowOf(id))).toBe('COMPLETED'), patient);
  const fresh = await writeEvents(database.pool, 5);
  await settled(database, fresh, patient);

  // A destination's own workflow, and half messages: their batch's, and one that is parked.
  const paused = await runCli(['destinations', 'pause', 'audit'], { databaseUrl: database.url, env });
  expect(paused.code, paused.stderr).toBe(0);
  await eventually(async () => {
    const rows = await database.rows<{ workflow_id: string }>(
      'select workflow_id from outbox.message_batches where single',
    );
    expect(rows).toHaveLength(1);
    expect(await statusOf(client, rows[0]?.workflow_id ?? '')).toBe('RUNNING');
  }, patient);
  expect(half.state).toBe('prepared');

  expect(
    logged.filter(({ message }) => message.startsWith('search attributes are not registered any more')),
  ).toHaveLength(1);
  const health = async () => {
    const response = await fetch(`${endpoints['metrics']}/readyz`);
    return { status: response.status, body: await response.json() };
  };
  await eventually(async () =>
    expect(await health()).toMatchObject({
      status: 200,
      body: {
        checks: { temporal: { says: 'search attributes are not registered; workflow ids serve instead' } },
      },
    }),
  );

  await temporal.addAttributes();
  await eventually(
    () =>
      expect(logged.map(({ message }) => message)).toContain(
        'search attributes are registered: workflows have them from now on',
      ),
    patient,
  );
  answer = 422;
  const [last = ''] = await writeEvents(database.pool, 1);
  await eventually(async () => {
    const { searchAttributes } = await client.workflow.getHandle(workflowOf(last)).describe();
    expect(searchAttributes).toMatchObject({ OutboxState: ['parked'], OutboxDestination: ['billing'] });
  }, patient);
});
