/**
 * What the workflow does today replays as it was. `OUTBOX_RECORD=1 npx vitest run --config test/vitest.config.ts test/replay/fresh`
 * also writes the histories, for later versions to be held to (recorded.test.ts). Add to them; what people have running
 * out there was started by old versions.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { Client, Connection } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { startTemporal } from '../../src/embedded/index.ts';
import { applyTestConfig, atEnd, createTestDatabase, startReceiver, startRun } from '../support/index.ts';
import { historiesDirectory, parseRecorded, record, workflowBundle } from './history.ts';
import { scenarios, type Place } from './scenarios.ts';

let place: Place;
beforeAll(async () => {
  const server = await startTemporal({
    headless: true,
    // So that a new run is suggested soon.
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': 100 },
    searchAttributes: { OutboxState: 'Keyword', OutboxDestination: 'Keyword', OutboxEventType: 'Keyword' },
  });
  atEnd(() => server.stop());
  const connection = await Connection.connect({ address: server.address });
  atEnd(() => connection.close());
  const database = await createTestDatabase();
  const receiver = await startReceiver({
    answer: ({ attempt, body }) =>
      attempt > 1 ? 204 : ((JSON.parse(body.toString()) as { answer?: number }).answer ?? 204),
  });
  const spare = await startReceiver();
  const silent = await startReceiver({
    answer: { status: 200, body: '{"answer": "unknown"}', delayMs: 300 },
  });
  const sick = await startReceiver({ answer: 503 });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', retry: { initialInterval: 200ms }, circuit: { enabled: false } }
      slow: { type: http, url: '${receiver.url}', retry: { initialInterval: 1500ms }, circuit: { enabled: false } }
      spare: { type: http, url: '${spare.url}' }
      sick: { type: http, url: '${sick.url}', circuit: { probeAfter: 300ms, maximumProbeInterval: 1s } }
      idle: { type: http, url: '${spare.url}' }
    routes:
      - { match: 'order.*', to: [billing] }
      - { match: 'slow.*', to: [slow] }
      - { match: 'sick.*', to: [sick] }
      - { match: 'idle.*', to: [idle] }
    producers:
      shop: { checkBack: { url: '${silent.url}', grace: 100ms, timeout: 5s, schedule: [300ms] } }`,
  );
  const temporal = { address: server.address, namespace: server.namespace };
  await startRun({ databaseUrl: database.url, temporal });
  const client = new Client({ connection, namespace: server.namespace });
  place = { database, client, heal: () => sick.answer(204) };
});

test.for(Object.keys(scenarios))('%s: the history of a run just made replays', async (name) => {
  const executions = (await scenarios[name]?.(place)) ?? [];
  expect(executions.length).toBeGreaterThan(0);
  for (const execution of executions) {
    const text = await record(place.client, execution);
    await Worker.runReplayHistory({ workflowBundle }, parseRecorded(text).history, execution.workflowId);
    if (process.env['OUTBOX_RECORD'] === '1') {
      await mkdir(historiesDirectory, { recursive: true });
      await writeFile(new URL(`${execution.name}.json`, historiesDirectory), text);
    }
  }
});
