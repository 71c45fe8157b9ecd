/** type: temporal, its modes, against a real server with a real worker. */
import { fileURLToPath } from 'node:url';
import { NativeConnection, Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { OutgoingMessage, Sender } from '../../src/core/outcome.ts';
import { inspectDestinations } from '../../src/cli/doctor/destinations.ts';
import { builtInTypes } from '../../src/destination/registry.ts';
import { createSender } from '../../src/destination/senders.ts';
import { event } from '../../src/testing/conformance/stage.ts';
import { atEnd, servers, temporalClient, uniqueName } from '../support/index.ts';
import { problemsIn } from './support.ts';

const taskQueue = uniqueName('fulfilment');
const { signal } = new AbortController();
const activities = { charge: async (given: unknown) => given };

beforeAll(async () => {
  const connection = await NativeConnection.connect({ address: servers().temporalAddress });
  const worker = await Worker.create({
    connection,
    taskQueue,
    activities,
    workflowsPath: fileURLToPath(new URL('temporal/workflows.ts', import.meta.url)),
  });
  const running = worker.run();
  atEnd(async () => {
    worker.shutdown();
    await running;
    await connection.close();
  });
}, 120_000);

const configOf = (keys: object) => {
  const fulfil = { type: 'temporal', address: servers().temporalAddress, taskQueue, timeout: '10s', ...keys };
  return parseConfig(JSON.stringify({ destinations: { fulfil }, routes: [] }), { env: {} }).config;
};

function open(keys: object): Sender {
  const sender = createSender(configOf(keys).destinations[0]!, { env: {} });
  atEnd(() => sender.close());
  return sender;
}

const numbered = (n: number, changes: Partial<OutgoingMessage> = {}) =>
  event({ payload: `{"n": ${n}}`, ...changes });

test('start: the workflow has the event as its argument; a repeat, and one of its id and type, is acknowledged and starts nothing', async () => {
  const client = await temporalClient();
  const sender = open({ workflowType: 'fulfilOrder', workflowId: 'order-{key}' });
  const first = numbered(1, {
    key: uniqueName('k'),
    payload: '{"n": 12345678901234567890}',
    headers: { 'x-a': 'b' },
  });
  for (const attempt of [1, 2])
    expect(await sender.send({ ...first, attempt }, signal)).toMatchObject({
      kind: 'acknowledged',
      status: null,
    });
  expect(await sender.send(numbered(2, { key: first.key }), signal)).toMatchObject({ kind: 'acknowledged' });
  const handle = client.workflow.getHandle(`order-${first.key}`);
  const { id, type, key, headers } = (await handle.result()) as Record<string, unknown>;
  expect({ id, type, key, headers }).toEqual({
    id: first.eventId,
    type: 'order.created',
    key: first.key,
    headers: { 'x-a': 'b' },
  });
  const { events } = await handle.fetchHistory();
  const { data } = events![0]!.workflowExecutionStartedEventAttributes!.input!.payloads![0]!;
  expect(Buffer.from(data!).toString()).toContain('"data":{"n": 12345678901234567890}');
  expect((await handle.describe()).memo).toMatchObject({ 'webhook-id': first.eventId });
});

test('start: a workflow of another type under that id is refused for good, in words', async () => {
  const key = uniqueName('k');
  await open({ workflowType: 'counting', workflowId: '{key}' }).send(numbered(1, { key }), signal);
  expect(
    await open({ workflowType: 'fulfilOrder', workflowId: '{key}' }).send(numbered(1, { key }), signal),
  ).toMatchObject({
    ...{ kind: 'refused', permanent: true, errorClass: 'rejected' },
    message: expect.stringContaining(
      `workflow ${key} is there, of type counting and not fulfilOrder`,
    ) as string,
  });
});

test('signalWithStart: the first event of a key starts the workflow, later ones signal it, in their order', async () => {
  const client = await temporalClient();
  const key = uniqueName('k');
  const sender = open({
    mode: 'signalWithStart',
    workflowType: 'counting',
    workflowId: '{key}',
    signal: 'paid',
  });
  for (const n of [1, 2])
    expect(await sender.send(numbered(n, { key }), signal)).toMatchObject({ kind: 'acknowledged' });
  expect(await client.workflow.getHandle(key).result()).toEqual([1, 2]);
});

test('updateWithStart: accepted is acknowledged, once for each event; what the validator rejects is refused for good', async () => {
  const client = await temporalClient();
  const key = uniqueName('k');
  const sender = open({
    mode: 'updateWithStart',
    workflowType: 'counting',
    workflowId: '{key}',
    update: 'add',
  });
  const first = numbered(1, { key });
  for (const attempt of [1, 2])
    expect(await sender.send({ ...first, attempt }, signal)).toMatchObject({ kind: 'acknowledged' });
  expect(await sender.send(numbered(-1, { key }), signal)).toMatchObject({
    ...{ kind: 'refused', permanent: true, errorClass: 'rejected' },
    message: expect.stringContaining('expected a number of zero or more') as string,
  });
  expect(await sender.send(numbered(2, { key }), signal)).toMatchObject({ kind: 'acknowledged' });
  expect(await client.workflow.getHandle(key).result()).toEqual([1, 2]);
});

test('activity: an activity without a workflow, started once for each event', async () => {
  const client = await temporalClient();
  const sender = open({ mode: 'activity', activityType: 'charge', input: 'payload' });
  const message = numbered(7);
  for (const attempt of [1, 2])
    expect(await sender.send({ ...message, attempt }, signal)).toMatchObject({ kind: 'acknowledged' });
  expect(await client.activity.getHandle(message.eventId).result()).toEqual({ n: 7 });
});

test('config check --online and doctor say whether namespace and workers are there', async () => {
  const look = (keys: object) => inspectDestinations(configOf(keys).destinations, builtInTypes, {});
  expect(await look({ workflowType: 'a' })).toMatchObject([{ level: 'ok' }]);
  expect(await look({ workflowType: 'a', taskQueue: uniqueName('nobody') })).toMatchObject([
    { level: 'warn', found: expect.stringContaining('no worker polls') as string },
  ]);
  expect(await look({ workflowType: 'a', namespace: uniqueName('nowhere') })).toMatchObject([
    { level: 'fail', hint: expect.stringContaining('Correct namespace') as string },
  ]);
});

test('its keys are checked by mode, and explain shows what a sample event becomes', () => {
  const fileWith = (keys: object) =>
    JSON.stringify({ destinations: { fulfil: { type: 'temporal', ...keys } }, routes: [] });
  const problems = (keys: object) =>
    problemsIn(fileWith({ taskQueue: 'q', ...keys })).map(({ message }) => message);
  expect(problems({})).toEqual(['expected workflowType, which mode start needs']);
  expect(problems({ mode: 'signalWithStart', workflowType: 'a', update: 'b' })).toEqual([
    'expected signal, which mode signalWithStart needs',
    'has no effect in mode signalWithStart; remove it',
  ]);
  expect(problems({ workflowType: 'a', apiKey: 'env:KEY' })[0]).toContain('expected address beside it');
  expect(problems({ workflowType: 'a', address: 'http://temporal:7233' })).toEqual([
    'expected host:port, such as temporal:7233',
  ]);
  const { text } = explainConfig(configOf({ workflowType: 'fulfilOrder', workflowId: 'order-{key}' }), {});
  expect(text).toContain('start: fulfilOrder, id order-{key}, task');
  expect(text).toMatch(/for example +order\.created with key .*: fulfilOrder order-/);
});
