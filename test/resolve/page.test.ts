/** What a person sees of a workflow: its page's details, its signals, the query `state`, the search attributes. */
import { beforeAll, expect, test } from 'vitest';
import { signals, stateQuery } from '../../workflows/contract.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { eventually } from '../support/index.ts';
import { auditOf, openDeadLetters, openStage, pageOf, settled, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({
    billing: 'retry: { initialInterval: 1h, maximumInterval: 1h, jitter: 0 }',
    type: 'order_created.v1',
  });
});

test('the page of a parked delivery says what failed, how often, and what to send', async () => {
  const { id, workflowId } = await stage.parkOne();
  const [letter] = await openDeadLetters(stage.database, [id]);
  const page = await eventually(async () => {
    const found = await pageOf(stage.client, workflowId);
    expect(found).toContain('**1 delivery parked**, waiting for a person');
    return found;
  });
  expect(page).toContain('- **order_created.v1 → billing**');
  expect(page).toContain(`- event \`${id}\``);
  expect(page).toContain('- last answer: **HTTP 422**');
  expect(page).toContain('- tried once, 1 charged to its retry policy');
  expect(page).toMatch(/- parked \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: refused for good/);
  for (const signal of ['retry', 'edit', 'redirect', 'discard'])
    expect(page).toContain(`- \`${signal}\`, input`);
  expect(page).toContain(`temporal-outbox dlq show ${letter?.id}`);
});

test('the page of a retrying delivery says when the next try is', async () => {
  const { id } = await enqueue(
    stage.database.pool,
    { type: 'order.created', payload: { answer: 500 } },
    { ownTransaction: true },
  );
  const workflowId = `${stage.database.name}/deliver/billing/${id}`;
  await eventually(async () => {
    const page = await pageOf(stage.client, workflowId);
    expect(page).toContain('1 delivery retrying');
    const next = /next try ([\d-]+ [\d:]+) UTC/.exec(page)?.[1] ?? '';
    expect(Date.parse(`${next}Z`) - Date.now()).toBeGreaterThan(3_500_000);
    expect(page).not.toContain('Send a Signal');
  });
});

test('the page of several lists them, counts those it does not list, and stays below Temporal’s limit', async () => {
  const ids = await stage.park(30);
  const [letter] = await openDeadLetters(stage.database, ids);
  const handle = stage.client.workflow.getHandle(letter?.workflow_id ?? '');
  for (let command = 0; command < 25; command++) {
    await handle.signal(signals.retry, { event: 'x', actor: `${'a'.repeat(190)} ${command}` });
  }
  const page = await eventually(async () => {
    expect(await auditOf(stage.database, handle.workflowId)).toHaveLength(25);
    const found = await pageOf(stage.client, handle.workflowId);
    expect(found.match(/"event" is an event id/g)).toHaveLength(20);
    return found;
  });
  expect(page).toContain('**30 deliveries parked**');
  expect(page.match(/\| `[0-9a-f-]{36}`/g)).toHaveLength(20);
  expect(page).toContain('… and 10 more');
  expect(page).toContain('`retry` takes all');
  expect(Buffer.byteLength(page)).toBeLessThan(20_000);
});

test('names from outside end no table cell and make no Markdown, whatever they hold', async () => {
  const { id, workflowId } = await stage.parkOne();
  const actor = '[click](https://evil.example) | **bold** `code` <b>\n# heading';
  await stage.client.workflow.getHandle(workflowId).signal(signals.redirect, { to: '](x)', actor });
  const line = await eventually(async () => {
    const found = (await pageOf(stage.client, workflowId)).split('\n').find((text) => text.includes('click'));
    expect(found).toBeDefined();
    return found ?? '';
  });
  expect(line).toContain('\\[click\\]');
  expect(line).toContain('\\| \\*\\*bold\\*\\* \\`code\\` \\<b\\> \\# heading');
  stage.heal(id);
});

test('the query state answers what is left and the commands so far', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal(signals.discard, { reason: 7 } as never);
  await eventually(async () => {
    const state = await handle.query(stateQuery);
    expect(state.summary).toMatchObject({
      left: 1,
      parked: 1,
      retrying: 0,
      rows: [{ eventId: id, destination: 'billing', state: 'parked', tries: 1, attempts: 1, status: 422 }],
    });
    expect(state.commands).toMatchObject([
      { action: 'discard', actor: null, outcome: 'refused', message: '"reason" is a text, got number 7' },
    ]);
  });
});

test('the signals and updates a person may send are described, those of ours after them', async () => {
  const { workflowId } = await stage.parkOne();
  const metadata = await stage.client.workflow
    .getHandle(workflowId)
    .query<{ definition: Record<string, { name: string; description: string }[]> }>(
      '__temporal_workflow_metadata',
    );
  const { signalDefinitions = [], updateDefinitions = [], queryDefinitions = [] } = metadata.definition;
  expect(signalDefinitions.map(({ name }) => name).sort()).toEqual([
    'discard',
    'edit',
    'recheck',
    'redirect',
    'retry',
  ]);
  expect(updateDefinitions.map(({ name }) => name).sort()).toEqual(['discard', 'edit', 'redirect', 'retry']);
  for (const { description } of [...signalDefinitions, ...updateDefinitions])
    expect(description).toMatch(/\w{4}/);
  expect(queryDefinitions.map(({ name }) => name)).toContain('state');
});

test('search attributes say state, destination and type, and visibility finds the parked by them', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  await eventually(async () => {
    const { searchAttributes } = await handle.describe();
    expect(searchAttributes).toMatchObject({
      OutboxState: ['parked'],
      OutboxDestination: ['billing'],
      OutboxEventType: ['order_created.v1'],
    });
  });
  const query = `OutboxState = "parked" AND OutboxDestination = "billing" AND TaskQueue = "${stage.database.taskQueue}"`;
  await eventually(async () => {
    const found: string[] = [];
    for await (const workflow of stage.client.workflow.list({ query })) found.push(workflow.workflowId);
    expect(found).toContain(workflowId);
  });
  const byName = `WorkflowId STARTS_WITH "${stage.database.name}/deliver/billing/" AND ExecutionStatus = "Running"`;
  const { count } = await stage.client.workflow.count(byName);
  expect(count).toBeGreaterThan(0);
  stage.heal(id);
  await handle.signal(signals.retry);
  await settled(stage.database, [id]);
});
