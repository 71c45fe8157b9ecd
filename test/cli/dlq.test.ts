import { beforeEach, expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startReceiver,
  startRun,
  temporalClient,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';
import { expectClean, folderWith, json, jsonError, type Ended } from './commands.ts';

interface Item {
  readonly id: number;
  readonly eventId: string;
  readonly workflowId: string;
  readonly destination: string;
  readonly outcome: string;
  readonly message: string;
}
interface Answer {
  readonly matched: number;
  readonly done: number;
  readonly failed: number;
  readonly items: Item[];
}

let database: TestDatabase;
let billing: Receiver;
let audit: Receiver;

beforeEach(async () => {
  database = await createTestDatabase();
  billing = await startReceiver({ answer: 422 });
  audit = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${billing.url}', circuit: { enabled: false } }
      audit: { type: http, url: '${audit.url}' }
    routes:
      - { match: 'order.*', to: [billing] }`,
  );
});

async function dlq(args: readonly string[], options: { input?: string; cwd?: string } = {}): Promise<Ended> {
  return runCli(['dlq', ...args], { databaseUrl: database.url, ...options });
}

/** Events that billing refuses, oldest first, once all of them are parked. */
async function park(
  count: number,
  type = 'order.created',
  payloadText = '{"total": 9007199254740993}',
): Promise<Item[]> {
  const events = await enqueue(
    database.pool,
    Array.from({ length: count }, (_, n) => ({
      type,
      key: `k${n}`,
      payloadText,
      headers: { 'x-shop': 'one' },
    })),
    { ownTransaction: true },
  );
  const ids = events.map(({ id }) => id);
  return eventually(async () => {
    const items = json<{ items: Item[] }>(
      await dlq(['list', '--json', '--limit', '1000', '--type', type]),
    ).items;
    const parked = items.filter(({ eventId }) => ids.includes(eventId));
    expect(parked).toHaveLength(count);
    // Up to five leave their batch for a workflow each, a moment after they are parked.
    if (count <= 5)
      for (const { eventId, workflowId } of parked) expect(workflowId).toContain(`/billing/${eventId}`);
    return parked.reverse();
  });
}

test('list pages by an opaque cursor that belongs to its filters', async () => {
  await startRun({ databaseUrl: database.url });
  await park(5);
  type Page = { items: Item[]; nextCursor: string | null };
  const first = json<Page>(await dlq(['list', '--json', '--limit', '2']));
  const second = json<Page>(
    await dlq(['list', '--json', '--limit', '2', '--cursor', String(first.nextCursor)]),
  );
  const third = json<Page>(
    await dlq(['list', '--json', '--limit', '2', '--cursor', String(second.nextCursor)]),
  );
  const ids = [first, second, third].flatMap((page) => page.items.map(({ id }) => id));
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => b - a));
  expect(ids).toHaveLength(5);
  expect(third.nextCursor).toBeNull();
  const elsewhere = await dlq(['list', '--destination', 'billing', '--cursor', String(first.nextCursor)]);
  expect(elsewhere).toMatchObject({ code: 2, stdout: '' });
  expect((await dlq(['list', '--destination', 'audit'])).stdout).toBe('no open dead letters match\n');
  expect((await dlq(['list'])).stdout.split('\n')[0]).toMatch(/^ *ID {2}PARKED \(UTC\) +DESTINATION/);
});

test('show tells everything: payload digit for digit, attempts, workflow, link', async () => {
  billing.answer({ status: 422, body: 'unknown \u001b[31mcustomer' });
  await startRun({ databaseUrl: database.url });
  const [item] = await park(1);
  const env = { TEMPORAL_UI_URL: 'http://ui.example/', TEMPORAL_NAMESPACE: 'default' };
  const args = ['dlq', 'show', String(item?.id)];
  const shown = json(await runCli([...args, '--json'], { databaseUrl: database.url, env }));
  expect(shown).toMatchObject({
    id: item?.id,
    reason: 'permanent',
    delivery: 'parked',
    workflowUrl: `http://ui.example/namespaces/default/workflows/${encodeURIComponent(item?.workflowId ?? '')}`,
    event: { key: 'k0', payloadText: '{"total": 9007199254740993}', headers: { 'x-shop': 'one' } },
    attemptHistory: [{ try: 1, status: 422, charged: true }],
    otherEpisodes: [],
    audit: [],
  });
  const text = await runCli(args, { databaseUrl: database.url, env });
  expect(text.stdout).toContain('{"total": 9007199254740993}');
  expectClean(text);
  expect(text.stdout).toContain('http://ui.example/namespaces/');
  expect((await dlq(args.slice(1))).stdout).toContain('set TEMPORAL_UI_URL');
  const missing = await dlq(['show', '999999', '--json']);
  expect(missing.code).toBe(1);
  expect(jsonError(missing).code).toBe('OUTBOX_NOT_FOUND');
});

test('retry sends it again under the same key, once, and says who did', async () => {
  await startRun({ databaseUrl: database.url });
  const [item] = await park(1);
  billing.answer(204);
  const args = ['retry', String(item?.id), '--actor', 'ann', '--reason', 'fixed'];
  const answer = json<Answer>(await dlq([...args, '--json']));
  expect(answer).toMatchObject({ matched: 1, done: 1, failed: 0, items: [{ outcome: 'done' }] });
  await eventually(() => expect(billing.of(item?.eventId ?? '')).toHaveLength(2));
  expect(new Set(billing.requests.map(({ key }) => key)).size).toBe(1);
  const again = await dlq(args);
  expect(again.code).toBe(1);
  expect(again.stdout).toMatch(/refused dead letter \d+ \(billing\): it was resolved before: retry by ann/);
  const shown = json(await dlq(['show', String(item?.id), '--json']));
  expect(shown).toMatchObject({ resolution: 'retry', resolvedBy: 'ann', resolutionReason: 'fixed' });
  expect(shown['audit']).toMatchObject([{ actor: 'ann', via: 'update', action: 'retry', outcome: 'done' }]);
});

test('edit corrects payload and headers under a new key; nothing of it enters Temporal', async () => {
  await startRun({ databaseUrl: database.url });
  const [item] = await park(1);
  billing.answer(204);
  const cwd = await folderWith({ 'fixed.json': '{"total": 12345678901234567891, "note": "corrected"}' });
  const edited = await dlq(['edit', String(item?.id), '--file', 'fixed.json', '-H', 'x-more=a=b', '--json'], {
    cwd,
  });
  expect(json<Answer>(edited).items[0]?.message).toContain('revision 2');
  const sent = await eventually(() => {
    const request = billing.of(item?.eventId ?? '')[1];
    expect(request).toBeDefined();
    return request;
  });
  expect(sent?.id).toBe(`${item?.eventId}:r2`);
  expect(sent?.body.toString()).toBe('{"note": "corrected", "total": 12345678901234567891}');
  expect(sent?.headers).toMatchObject({ 'x-shop': 'one', 'x-more': 'a=b' });
  const client = await temporalClient();
  const history = await client.workflow.getHandle(item?.workflowId ?? '').fetchHistory();
  expect(JSON.stringify(history)).not.toContain(Buffer.from('corrected').toString('base64').slice(0, 8));
  expect(await database.rows('select payload::text from outbox.events')).toEqual([
    { payload: '{"total": 9007199254740993}' },
  ]);
});

test('an edit that PostgreSQL does not take is refused, and the dead letter still waits', async () => {
  await startRun({ databaseUrl: database.url });
  const [item] = await park(1);
  const id = String(item?.id);
  const cwd = await folderWith({ 'over.json': `"${'x'.repeat(1024 * 1024)}"` });
  const over = await dlq(['edit', id, '--file', 'over.json'], { cwd });
  expect(over).toMatchObject({ code: 1, stdout: '' });
  expect(over.stderr).toContain('at most 1 MiB');
  const nul = await dlq(['edit', id, '--payload', '"\\u0000"']);
  expect(nul).toMatchObject({ code: 1, stdout: '' });
  expectClean(nul);
  expect(json(await dlq(['show', id, '--json']))).toMatchObject({ resolvedAt: null, delivery: 'parked' });
});

test('redirect sends it elsewhere; to nowhere, or where it is, it is refused', async () => {
  await startRun({ databaseUrl: database.url });
  const [item] = await park(1);
  const id = String(item?.id);
  const nowhere = await dlq(['redirect', id, '--to', 'shipping']);
  expect(nowhere).toMatchObject({ code: 1, stdout: '' });
  expect(nowhere.stderr).toContain('There are: audit, billing');
  const same = await dlq(['redirect', id, '--to', 'billing']);
  expect(same.code).toBe(1);
  expect(same.stdout).toMatch(/has.* a delivery to billing already/);
  expect(json<Answer>(await dlq(['redirect', id, '--to', 'audit', '--json'])).done).toBe(1);
  await eventually(() => expect(audit.of(item?.eventId ?? '')).toHaveLength(1));
});

test('a filter makes a redrive: frozen, confirmed, waited for; it says when nothing matches', async () => {
  await startRun({ databaseUrl: database.url });
  await park(3);
  await park(40, 'order.many');
  const unconfirmed = await dlq(['retry', '--destination', 'billing']);
  expect(unconfirmed).toMatchObject({ code: 2, stdout: '' });
  expect(unconfirmed.stderr).toMatch(/redrive 1 would retry 43 dead letters; nothing was done/);
  expect(unconfirmed.stderr).toContain('temporal-outbox redrive start 1 --yes');
  expect(await database.rows('select from outbox.dead_letters where resolved_at is not null')).toEqual([]);
  const mistyped = await dlq(['retry', '--destination', 'biling', '--yes']);
  expect(mistyped).toMatchObject({ code: 2, stdout: '' });
  expect(mistyped.stderr).toContain('There are: audit, billing');
  const nothing = await dlq(['retry', '--type', 'no.such', '--yes', '--json']);
  expect(json(nothing)).toMatchObject({ count: 0, done: 0 });
  expect(nothing.stderr).toContain('no open dead letters match');
  const many = ['--type', 'order.many', '--reason', 'test data', '--yes', '--wait', '--json'];
  const discarded = json(await dlq(['discard', ...many]));
  expect(discarded).toMatchObject({ action: 'discard', state: 'done', count: 40, done: 40, failed: 0 });
  billing.answer(204);
  const retried = await dlq(['retry', '--all', '--yes', '--wait', '--actor', 'ann']);
  expect(retried.stdout).toMatch(/redrive \d+ done; done 3 of 3/);
  expect(retried.stderr).toMatch(/█+ 100 % · 3 of 3/);
  await eventually(async () => expect(await database.rows('select from outbox.deliveries')).toHaveLength(0));
  expect(await database.rows('select from outbox.delivered')).toHaveLength(3);
});

test('edit by a patch and redirect take filters, too', async () => {
  await startRun({ databaseUrl: database.url });
  await park(2);
  const patch = '[{"op": "add", "path": "/paid", "value": 9007199254740995}]';
  const shown = await dlq(['edit', '--all', '--patch', patch]);
  expect(shown.code).toBe(2);
  expect(shown.stderr).toContain('"paid": 9007199254740995');
  billing.answer(204);
  expect(json(await dlq(['edit', '--all', '--patch', patch, '--yes', '--wait', '--json']))).toMatchObject({
    action: 'edit',
    done: 2,
  });
  expect(billing.requests.at(-1)?.body.toString()).toBe(
    '{"paid": 9007199254740995, "total": 9007199254740993}',
  );
  billing.answer(422);
  await park(2, 'order.two');
  const elsewhere = ['redirect', '--type', 'order.*', '--to', 'audit', '--yes', '--wait', '--json'];
  expect(json(await dlq(elsewhere))).toMatchObject({ action: 'redirect', to: 'audit', done: 2 });
  expect(audit.requests).toHaveLength(2);
});

test('of several ids the good ones are done and the others listed, exit code 1; an unknown id stops all', async () => {
  await startRun({ databaseUrl: database.url });
  const [first, second] = await park(2);
  await dlq(['discard', String(first?.id), '--reason', 'x']);
  const unknown = await dlq(['retry', String(second?.id), '999999']);
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  const mixed = json<Answer>(await dlq(['retry', String(first?.id), String(second?.id), '--json']), 1);
  expect(mixed).toMatchObject({ matched: 2, done: 1, failed: 1 });
  expect(mixed.items.map(({ outcome }) => outcome)).toEqual(['refused', 'done']);
});

test('a workflow that somebody terminated is started again by the command', async () => {
  await startRun({ databaseUrl: database.url });
  const [item] = await park(1);
  billing.answer(204);
  const workflow = (await temporalClient()).workflow.getHandle(item?.workflowId ?? '');
  // Its row names the workflow a moment before it is started.
  await eventually(() => workflow.terminate('a slip of the mouse'));
  expect(json<Answer>(await dlq(['retry', String(item?.id), '--json'])).done).toBe(1);
  await eventually(() => expect(billing.of(item?.eventId ?? '')).toHaveLength(2));
});

test('without a worker the command ends in time, says so with exit code 3, and can be repeated', async () => {
  const { id: eventId } = await enqueue(
    database.pool,
    { type: 'order.created', payload: {} },
    { ownTransaction: true },
  );
  // Parked by hand: no worker has ever polled this task queue.
  await database.pool.query(
    `with relay as (select gen_random_uuid() as id), held as (select outbox.hold_lanes(id, 'test', '1 minute'), id from relay)
     select count(*) from held`,
  );
  await database.pool.query(
    `select outbox.park_batch(c.workflow_id, 'terminated')
     from outbox.claim((select owner from outbox.lanes where name = 'billing'), array['billing'], array[0]::bigint[], '1 minute') c`,
  );
  await database.pool.query('update outbox.lanes set owner = null; delete from outbox.relays');
  const list = json<{ items: Item[] }>(await dlq(['list', '--json']));
  expect(list.items).toMatchObject([{ eventId, destination: 'billing' }]);
  const silent = await dlq(['retry', String(list.items[0]?.id), '--timeout', '2s']);
  expect(silent.code).toBe(3);
  expect(silent.stdout).toContain(`no worker polls task queue ${database.taskQueue}`);
  billing.answer(204);
  await startRun({ databaseUrl: database.url });
  await eventually(async () => {
    await dlq(['retry', String(list.items[0]?.id)]);
    expect(billing.of(eventId)).toHaveLength(1);
  });
});

test('a reader that goes away is no error', async () => {
  const spawned = spawnRun({ databaseUrl: database.url, args: ['config', 'schema'] });
  spawned.child.stdout?.destroy();
  expect((await spawned.ended).signal).toBeNull();
  expect(spawned.stderr()).toBe('');
});
