/** What somebody who may use Temporal sends and starts by hand: it stops nothing of ours, and tells us nothing untrue. */
import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import type { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { enqueue } from '../../src/index.ts';
import { workflowBundle } from '../replay/history.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  temporalClient,
  uniqueName,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';

let database: TestDatabase;
let receiver: Receiver;
let client: Client;
beforeEach(async () => {
  database = await createTestDatabase();
  receiver = await startReceiver({ answer: 204 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  client = await temporalClient();
});

const keeper = () => client.workflow.getHandle(`${database.name}/housekeeping`);
const memo = async () => (await keeper().describe()).memo;
const marks = () => database.rows<{ mark: string }>('select mark::text from outbox.marks order by made_at');

async function handled(signals: number): Promise<void> {
  await eventually(async () => {
    const { events } = await keeper().fetchHistory();
    const received = events?.filter(({ workflowExecutionSignaledEventAttributes: at }) => at != null) ?? [];
    expect(received.length).toBeGreaterThanOrEqual(signals);
    const last = Number(received.at(-1)?.eventId);
    expect(
      events?.some(
        (event) => Number(event.eventId) > last && event.workflowTaskCompletedEventAttributes != null,
      ),
    ).toBe(true);
  });
}

const junk = [
  'x',
  '',
  5,
  null,
  true,
  {},
  [],
  { mark: randomUUID() },
  'x'.repeat(100_000),
  '\u0000',
  randomUUID(),
  randomUUID().toUpperCase(),
];

test('marks that no database made change nothing: every process starts, whatever was signalled', async () => {
  const first = await startRun({ databaseUrl: database.url });
  const before = await memo();
  for (const mark of junk) await keeper().signal('mark', mark);
  await handled(junk.length);
  expect(await memo()).toEqual(before);
  await first.stop();
  for (const mark of junk) await keeper().signal('mark', mark);
  await startRun({ databaseUrl: database.url });
  const { id } = await enqueue(database.pool, { type: 'a', payload: 1 }, { ownTransaction: true });
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  // The second process's own is the one that is remembered.
  const latest = (await marks()).at(-1)?.mark;
  await eventually(async () => expect((await memo())?.['mark']).toBe(latest));
  await Worker.runReplayHistory({ workflowBundle }, await keeper().fetchHistory(), keeper().workflowId);
});

test('an old mark, signalled again, does not hide that the database was set back', async () => {
  const first = await startRun({ databaseUrl: database.url });
  await first.stop();
  const second = await startRun({ databaseUrl: database.url });
  const [old, latest] = await marks();
  await eventually(async () => expect((await memo())?.['mark']).toBe(latest?.mark));
  await keeper().signal('mark', old?.mark);
  await handled(2);
  await second.stop();
  expect((await memo())?.['mark']).toBe(latest?.mark);
  // As a copy of before the second start would have it.
  await database.pool.query('delete from outbox.marks where mark = $1', [latest?.mark]);
  await expect(startRun({ databaseUrl: database.url })).rejects.toMatchObject({
    code: 'OUTBOX_DATABASE_RESTORED',
  });
});

test('a memo that an earlier version let somebody spoil is warned of and replaced', async () => {
  const [settings] = await database.rows<{ id: string }>('select database_id as id from outbox.settings');
  await client.workflow.start('housekeeping', {
    workflowId: keeper().workflowId,
    taskQueue: database.taskQueue,
    memo: { databaseId: settings?.id, mark: 'x' },
  });
  const { logged } = await startRun({ databaseUrl: database.url });
  expect(logged).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      message: expect.stringContaining('holds a mark that no database made') as string,
    }),
  );
  const latest = (await marks()).at(-1)?.mark;
  await eventually(async () => expect((await memo())?.['mark']).toBe(latest));
});

const noInput = Symbol('none');
const inputs: readonly unknown[] = [
  noInput,
  null,
  'x',
  5,
  [],
  {},
  { lane: 5 },
  { pass: 'yes' },
  { lane: 'billing', firstAttempt: 'local', timeoutMs: 'long', searchAttributes: false },
  {
    lane: 'billing',
    firstAttempt: 'local',
    timeoutMs: 1000,
    searchAttributes: false,
    linesBefore: [{ at: 'never' }],
  },
  { name: 'a\u0000b', timeoutMs: 1000, searchAttributes: false },
  { producer: 'shop', searchAttributes: false, carriedOver: [null] },
];

test.each(['deliver', 'destination', 'preparedMessage', 'housekeeping'])(
  '%s started by hand with what it cannot work with ends at once and says what it expected',
  async (type) => {
    await startRun({ databaseUrl: database.url });
    for (const input of inputs) {
      if (type === 'housekeeping' && input === noInput) continue; // that is how it is started
      const handle = await client.workflow.start(type, {
        workflowId: `${database.name}/${uniqueName('by-hand')}`,
        taskQueue: database.taskQueue,
        args: input === noInput ? [] : [input],
      });
      await expect(handle.result(), JSON.stringify(input)).rejects.toMatchObject({
        cause: {
          type: 'OutboxInputRefused',
          message: expect.stringMatching(new RegExp(`^${type} expected`)) as string,
        },
      });
    }
    const { id } = await enqueue(database.pool, { type: 'a', payload: 1 }, { ownTransaction: true });
    await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  },
);

test.each([
  'deliver/00000000-0000-7000-8000-000000000000',
  'deliver/------------------------------------',
  'deliver/billing/nothing',
])('deliver started by hand as %s finds nothing of that name and completes', async (id) => {
  await startRun({ databaseUrl: database.url });
  const handle = await client.workflow.start('deliver', {
    workflowId: `${database.name}/${id}`,
    taskQueue: database.taskQueue,
    args: [{ lane: 'billing', firstAttempt: 'activity', timeoutMs: 1000, searchAttributes: false }],
  });
  expect(await handle.result()).toEqual({ settled: true });
});
