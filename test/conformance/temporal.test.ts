/** type: temporal, by the suite: a workflow for each event, in a Temporal that is killed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { temporal } from '../../src/destination/temporal/index.ts';
import { startTemporal, type EmbeddedTemporal } from '../../src/embedded/index.ts';
import type { HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { eventually, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

async function start(): Promise<HarnessServer> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-temporal-'));
  const options = { dataFile: join(folder, 'temporal.db'), headless: true };
  let server: EmbeddedTemporal = await startTemporal(options);
  const port = Number(server.address.split(':')[1]);
  const connection = Connection.lazy({ address: server.address });
  const client = new Client({ connection });
  const kill = async (): Promise<void> => {
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
  };
  const restart = async (): Promise<void> => {
    server = await startTemporal({ ...options, port });
  };
  const settings = (taskQueue: string, more: object = {}) => ({
    settings: (address: string) => ({
      ...{ address, taskQueue, workflowType: 'conform', workflowId: '{id}', input: 'payload' },
      ...more,
    }),
  });
  const topic = (): Topic => {
    const taskQueue = uniqueName('queue');
    const known = new Map<string, Received>();
    return { ...settings(taskQueue), read: () => startedOn(client, taskQueue, known) };
  };
  return {
    address: server.address,
    stop: async () => {
      await connection.close();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
    kill,
    restart,
    topic: async () => topic(),
    refused: async () => ({
      ...topic(),
      message: { eventId: 'x'.repeat(2_000) },
      errorClass: 'rejected',
      says: /exceeds maximum allowed length/,
    }),
    tooLarge: async () => ({ ...topic(), message: { payload: `"${'x'.repeat(3 * 1024 * 1024)}"` } }),
    missingTopic: async () => {
      const namespace = uniqueName('nowhere');
      return {
        ...settings('any', { namespace }),
        isThere: () =>
          connection.workflowService.describeNamespace({ namespace }).then(
            () => true,
            () => false,
          ),
      };
    },
  };
}

/** In the order of their starts. What was read once is not asked for again. */
async function startedOn(
  client: Client,
  taskQueue: string,
  known: Map<string, Received>,
): Promise<Received[]> {
  const started: { readonly at: number; readonly runId: string }[] = [];
  for await (const { runId, workflowId, startTime } of client.workflow.list({
    query: `TaskQueue = '${taskQueue}'`,
  })) {
    started.push({ runId, at: startTime.getTime() });
    if (!known.has(runId)) known.set(runId, await firstOf(client, workflowId, runId));
  }
  started.sort((one, other) => one.at - other.at);
  return started.map(({ runId }) => known.get(runId)!);
}

async function firstOf(client: Client, workflowId: string, runId: string): Promise<Received> {
  return eventually(async () => {
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const { input, memo } = events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
    const headers = Object.fromEntries(
      Object.entries(memo?.fields ?? {}).map(([name, { data }]) => [
        name,
        JSON.parse(Buffer.from(data ?? []).toString()) as string,
      ]),
    );
    const { data, metadata } = input?.payloads?.[0] ?? {};
    const bytes = Buffer.from(data ?? []);
    const isText = Buffer.from(metadata?.['encoding'] ?? []).toString() === 'json/plain';
    const isJson = headers['content-type'] === 'application/json';
    const body = !isText ? bytes : isJson ? bytes.toString() : (JSON.parse(bytes.toString()) as string);
    return { id: headers['webhook-id'] ?? '', body, key: headers['outbox-key'] ?? null, headers };
  });
}

conform(
  {
    type: temporal,
    start,
    patienceMs: 60_000,
    cannot: {
      unroutable: 'what is started waits for a worker',
      'wrong-topic': 'a namespace is of one kind',
      'wrong-credentials': 'a development server takes everybody',
      blocked: 'a development server has no limits',
      'beyond-the-window': 'ids are remembered for as long as the namespace keeps closed workflows',
      tls: 'a development server speaks no TLS',
      'mutual-tls': 'a development server speaks no TLS',
    },
  },
  { short: [] },
);
