import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { Client, Connection } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { test, expect, onTestFinished } from 'vitest';
import { startTemporal, type EmbeddedTemporal, type TemporalOptions } from '../../src/embedded/temporal.ts';
import { isAlive, occupyPort, temporaryFolder } from './support.ts';

const timeout = 120_000;
const outboxState = defineSearchAttributeKey('OutboxState', 'KEYWORD');

async function start(options: TemporalOptions = {}): Promise<EmbeddedTemporal> {
  const server = await startTemporal(options);
  onTestFinished(() => server.stop());
  return server;
}

async function connect(server: EmbeddedTemporal): Promise<Client> {
  const connection = await Connection.connect({ address: server.address });
  onTestFinished(() => connection.close());
  return new Client({ connection, namespace: server.namespace });
}

test(
  'a server is ready for workflows with search attributes the moment it is returned',
  { timeout },
  async () => {
    const server = await start({
      namespace: 'orders',
      searchAttributes: { OutboxState: 'Keyword' },
      dynamicConfig: { 'frontend.namespaceRPS': 4_000, 'limit.maxIDLength': 300 },
    });
    const client = await connect(server);
    const handle = await client.workflow.start('anything', {
      workflowId: 'first',
      taskQueue: 'nobody',
      typedSearchAttributes: [{ key: outboxState, value: 'parked' }],
    });
    expect((await handle.describe()).typedSearchAttributes.get(outboxState)).toBe('parked');
    expect((await fetch(server.uiUrl ?? '')).status).toBe(200);
    await Promise.all([server.stop(), server.stop()]);
    expect(isAlive(server.pid)).toBe(false);
  },
);

test(
  'with a data file, workflows survive a restart, on other ports and with a new search attribute',
  { timeout },
  async () => {
    const dataFile = join(await temporaryFolder(), 'made', 'temporal.db');
    const first = await start({ dataFile, headless: true });
    expect(first.uiUrl).toBe(null);
    const before = await connect(first);
    await before.workflow.start('anything', { workflowId: 'kept', taskQueue: 'nobody' });
    await first.stop();
    const second = await start({ dataFile, headless: true, searchAttributes: { OutboxState: 'Keyword' } });
    const after = await connect(second);
    expect((await after.workflow.getHandle('kept').describe()).status.name).toBe('RUNNING');
    const typedSearchAttributes = [{ key: outboxState, value: 'parked' }];
    await after.workflow.start('anything', {
      workflowId: 'more',
      taskQueue: 'nobody',
      typedSearchAttributes,
    });
  },
);

test('taken ports are exchanged for free ones', { timeout }, async () => {
  const [port, uiPort] = [await occupyPort(), await occupyPort()];
  const server = await start({ port, uiPort });
  expect(server.address).not.toBe(`127.0.0.1:${port}`);
  expect(server.uiUrl).not.toBe(`http://127.0.0.1:${uiPort}`);
});

test('a data file that is none is an error with the server’s last words', { timeout }, async () => {
  const dataFile = join(await temporaryFolder(), 'temporal.db');
  await writeFile(dataFile, 'no database, but long enough to be looked at '.repeat(100));
  await expect(start({ dataFile })).rejects.toMatchObject({
    code: 'OUTBOX_SERVER_START',
    message: expect.stringContaining('not a database') as string,
  });
});

test('a second server on the same data file is refused while the first lives', { timeout }, async () => {
  const folder = await temporaryFolder();
  const first = await start({ dataFile: join(folder, 'temporal.db'), headless: true });
  const again = start({ dataFile: join(folder, '.', 'temporal.db'), headless: true });
  await expect(again).rejects.toMatchObject({
    code: 'OUTBOX_SERVER_START',
    message: expect.stringContaining(`process ${first.pid}) is running`) as string,
  });
});
