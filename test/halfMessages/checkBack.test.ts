/** What becomes of messages whose producer fell silent: asked back over HTTP, by real workflows. */
import type { Client } from '@temporalio/client';
import { beforeAll, describe, expect, test } from 'vitest';
import { commitMessage, prepareMessage, readMessage } from '../../src/index.ts';
import { messageSignals, messageUpdates } from '../../workflows/contract.ts';
import { pageOf, statusOf } from '../resolve/stage.ts';
import {
  eventually,
  startReceiver,
  startRun,
  temporalClient,
  verify,
  type Answer,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';
import { configure, databaseWithProducer } from './support.ts';
import { onlyWithEverything } from '../support/everything.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

let database: TestDatabase;
let client: Client;
let receiver: Receiver;
let shop: Receiver;
/** What the producer answers, by the message's key; `unknown` without. */
const answers = new Map<string, Answer>();
const says = (answer: string): Answer => ({ status: 200, body: JSON.stringify({ answer }) });

beforeAll(async () => {
  receiver = await startReceiver();
  shop = await startReceiver({
    answer: ({ body }) =>
      answers.get((JSON.parse(body.toString()) as { key: string }).key) ?? says('unknown'),
  });
  const schedule = Array.from({ length: 3 }, () => '50ms').join(', ');
  database = await databaseWithProducer();
  await configure(database, {
    receiver: receiver.url,
    checkBack: `url: '${shop.url}', grace: 200ms, timeout: 1s, schedule: [${schedule}], signing: { scheme: standard-webhooks, secrets: ['${secret}'] }`,
  });
  client = await temporalClient();
  await startRun({ databaseUrl: database.url });
});

async function prepare(key: string): Promise<string> {
  const message = { producer: 'shop', type: 'order.paid', key, payload: { key } };
  return (await prepareMessage(database.pool, message)).id;
}

async function state(id: string, expected: string): Promise<void> {
  await eventually(async () =>
    expect(await readMessage(database.pool, id)).toMatchObject({ state: expected }),
  );
}

const workflowOf = (id: string): string => `${database.name}/preparedMessage/${id}`;

async function parked(key: string): Promise<string> {
  const id = await prepare(key);
  await state(id, 'parked');
  await eventually(async () => expect(await pageOf(client, workflowOf(id))).toContain('parked'));
  return id;
}

async function delivered(id: string): Promise<void> {
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
}

test('a producer that says committed has its event delivered', async () => {
  answers.set('yes', says('committed'));
  const id = await prepare('yes');
  await delivered(id);
  expect(await readMessage(database.pool, id)).toMatchObject({ state: 'committed', settledBy: 'check-back' });
  const [asked] = shop.of(id);
  expect(asked?.id).toBe(`${id}:check-1`);
  expect(verify(asked as never, secret)).toMatchObject({
    id,
    producer: 'shop',
    type: 'order.paid',
    key: 'yes',
    check: 1,
  });
});

test('one that says rolled-back ends the message', async () => {
  answers.set('no', says('rolled-back'));
  const id = await prepare('no');
  await state(id, 'rolled-back');
  expect(receiver.of(id)).toEqual([]);
});

test.each<[string, Answer]>([
  ['an error', 500],
  ['not found', 404],
  ['another word', says('perhaps')],
  ['no JSON', { status: 200, body: '<html>' }],
  ['nothing', { status: 204 }],
  ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:9/' } }],
  ['an endless body', { status: 200, body: Buffer.alloc(100_000, 32) }],
  ['a broken connection', 'reset'],
])('%s tells nothing: the producer is asked again', async (key, answer) => {
  answers.set(key, answer);
  const id = await prepare(key);
  await eventually(async () =>
    expect((await readMessage(database.pool, id)).checks).toBeGreaterThanOrEqual(1),
  );
  expect((await readMessage(database.pool, id)).lastAnswer).toContain('POST http://127.0.0.1');
  answers.set(key, says('committed'));
  const { state: now } = await readMessage(database.pool, id);
  if (now === 'parked') await client.workflow.getHandle(workflowOf(id)).signal(messageSignals.check);
  await delivered(id);
});

// Side by side: each waits for timers most of its time.
describe.concurrent('a message that stays unknown', () => {
  test('is asked about once more than the schedule has entries, then waits in a workflow of its own', async () => {
    const id = await parked('p1');
    expect(shop.of(id).map((each) => each.id)).toEqual([1, 2, 3, 4].map((n) => `${id}:check-${n}`));
    expect(await statusOf(client, workflowOf(id))).toBe('RUNNING');
    expect(await readMessage(database.pool, id)).toMatchObject({ checks: 4, workflowId: workflowOf(id) });
  });

  test('is delivered by the signal commit, and the audit says who', async () => {
    const id = await parked('p2');
    await client.workflow
      .getHandle(workflowOf(id))
      .signal(messageSignals.commit, { actor: 'ada', reason: 'saw it' });
    await delivered(id);
    await eventually(async () => expect(await statusOf(client, workflowOf(id))).toBe('COMPLETED'));
    expect(await readMessage(database.pool, id)).toMatchObject({ state: 'committed', settledBy: 'ada' });
    expect(
      await database.rows(
        'select actor, via, action, outcome, reason from outbox.audit where event_id = $1',
        [id],
      ),
    ).toEqual([{ actor: 'ada', via: 'signal', action: 'commit', outcome: 'done', reason: 'saw it' }]);
  });

  test('is given up by the update rollback, which answers', async () => {
    const id = await parked('p3');
    const answer = await client.workflow
      .getHandle(workflowOf(id))
      .executeUpdate(messageUpdates.rollback, { args: [{}] });
    expect(answer).toMatchObject({ outcome: 'done', message: `message ${id} rolled back` });
    await eventually(async () => expect(await statusOf(client, workflowOf(id))).toBe('COMPLETED'));
    expect(receiver.of(id)).toEqual([]);
  });

  test('is asked about again by the signal check', async () => {
    const id = await parked('p4');
    answers.set('p4', says('committed'));
    await client.workflow.getHandle(workflowOf(id)).signal(messageSignals.check);
    await delivered(id);
  });

  test('ends, and its workflow too, by the ordinary commit', async () => {
    const id = await parked('p5');
    await commitMessage(database.pool, id);
    await delivered(id);
    await eventually(async () => expect(await statusOf(client, workflowOf(id))).toBe('COMPLETED'));
  });

  test('survives junk: each refusal is a line on its page', async () => {
    const id = await parked('p6');
    const handle = client.workflow.getHandle(workflowOf(id));
    for (const input of [
      null,
      [1],
      'please',
      { odd: 1 },
      { event: 'x' },
      { event: '00000000-0000-7000-8000-000000000000' },
    ])
      await handle.signal('commit', input);
    await eventually(async () =>
      expect(
        await database.rows(`select 1 from outbox.audit where workflow_id = $1 and outcome = 'refused'`, [
          workflowOf(id),
        ]),
      ).toHaveLength(6),
    );
    await eventually(async () => expect(await pageOf(client, workflowOf(id))).toContain('not open here'));
    expect(await readMessage(database.pool, id)).toMatchObject({ state: 'parked' });
    await handle.signal(messageSignals.commit);
    await delivered(id);
  });

  test.for(['terminate', 'cancel'] as const)(
    'loses nothing by %s: a relay starts its workflow again',
    async (how, context) => {
      onlyWithEverything(context, 'a sibling is shown');
      const id = await parked(how);
      const handle = client.workflow.getHandle(workflowOf(id));
      const { runId } = await handle.describe();
      await handle[how]();
      await eventually(async () => expect((await handle.describe()).runId).not.toBe(runId), {
        timeout: 50_000,
      });
      await handle.signal(messageSignals.commit);
      await delivered(id);
    },
  );

  test('is committed once, however often the signal comes, a reset that sends it again included', async () => {
    const id = await parked('p7');
    const handle = client.workflow.getHandle(workflowOf(id));
    await Promise.all([1, 2, 3].map(() => handle.signal(messageSignals.commit)));
    await delivered(id);
    await eventually(async () => expect(await statusOf(client, workflowOf(id))).toBe('COMPLETED'));
    const { events } = await handle.fetchHistory();
    const first = events?.find(({ workflowTaskCompletedEventAttributes: completed }) => completed != null);
    await client.workflowService.resetWorkflowExecution({
      namespace: client.options.namespace,
      workflowExecution: { workflowId: workflowOf(id) },
      reason: 'by a test',
      requestId: crypto.randomUUID(),
      workflowTaskFinishEventId: first?.eventId ?? null,
    });
    await eventually(async () => expect(await statusOf(client, workflowOf(id))).toBe('COMPLETED'));
    expect(await database.rows('select 1 from outbox.events where id = $1', [id])).toHaveLength(1);
    expect(receiver.of(id)).toHaveLength(1);
  });
});

test('several in one workflow are named, or taken all', async () => {
  answers.set('slow', { status: 200, body: '{"answer":"unknown"}', delayMs: 900 });
  const ids = await Promise.all(['slow', 'slow', 'slow'].map(prepare));
  const { workflowId } = await eventually(async () => {
    const found = await readMessage(database.pool, ids[0] ?? '');
    expect(found.workflowId).not.toBeNull();
    return found;
  });
  const together = await database.rows<{ id: string }>(
    'select id from outbox.prepared_messages where workflow_id = $1',
    [workflowId],
  );
  const handle = client.workflow.getHandle(workflowId ?? '');
  // Claimed first, then started.
  await eventually(() => handle.describe());
  const [first] = together;
  if (together.length > 1) {
    expect(await handle.executeUpdate(messageUpdates.commit, { args: [{}] })).toMatchObject({
      outcome: 'refused',
    });
  }
  expect(
    await handle.executeUpdate(messageUpdates.commit, { args: [{ event: first?.id ?? '' }] }),
  ).toMatchObject({ outcome: 'done', events: 1 });
  await delivered(first?.id ?? '');
});
