/** `messages …`, and what `status`, `dlq list`, `run` and `api` say of half messages. */
import { expect, test } from 'vitest';
import { prepareMessage, readMessage } from '../../src/index.ts';
import { uuid7 } from '../../src/halfMessages/message.ts';
import { databaseWithProducer } from '../halfMessages/support.ts';
import { eventually, runCli, spawnRun, startRun } from '../support/index.ts';
import { json, jsonError, offline } from './commands.ts';

const message = { producer: 'shop', type: 'order.paid', payload: { total: 1 } };

test('list, show and settle half messages', async () => {
  const database = await databaseWithProducer();
  const cli = (...args: string[]) => runCli([...args, '--json'], { databaseUrl: database.url });
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.push((await prepareMessage(database.pool, message)).id);

  const first = json<{ items: { id: string }[]; next: string | null }>(
    await cli('messages', 'list', '--limit', '2'),
  );
  const second = json<{ items: { id: string }[]; next: string | null }>(
    await cli('messages', 'list', '--limit', '2', '--before', first.next ?? ''),
  );
  expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids.toReversed());
  expect(second.next).toBeNull();

  const [one = '', two = ''] = ids;
  expect(json(await cli('messages', 'commit', one, '--reason', 'saw it', '--actor', 'ada'))).toMatchObject({
    outcome: 'done',
    state: 'committed',
    eventId: one,
  });
  expect(json(await cli('messages', 'rollback', two))).toMatchObject({
    outcome: 'done',
    state: 'rolled-back',
  });
  expect(json(await cli('messages', 'commit', two), 1)).toMatchObject({ outcome: 'refused' });
  expect(json(await cli('messages', 'show', one))).toMatchObject({
    state: 'committed',
    settledBy: 'ada',
    content: null,
  });
  const text = (await runCli(['messages', 'show', ids[2] ?? ''], { databaseUrl: database.url })).stdout;
  expect(text).toContain('half message');
  expect(text).toContain('{"total": 1}');
  expect(jsonError(await cli('messages', 'show', uuid7())).code).toBe('OUTBOX_NOT_FOUND');
  expect(json(await cli('status'))).toMatchObject({
    halfMessages: [{ producer: 'shop', prepared: 1, parked: 0 }],
  });
  expect(
    await database.rows('select actor, via, action, outcome, reason from outbox.audit where event_id = $1', [
      one,
    ]),
  ).toEqual([{ actor: 'ada', via: 'cli', action: 'commit', outcome: 'done', reason: 'saw it' }]);
});

test('a parked message is mentioned by dlq list, and settled from the shell with its workflow', async () => {
  const database = await databaseWithProducer({
    checkBack: `url: 'http://127.0.0.1:9/', grace: 100ms, timeout: 500ms, schedule: [50ms]`,
  });
  await startRun({ databaseUrl: database.url });
  const { id } = await prepareMessage(database.pool, message);
  await eventually(async () =>
    expect(await readMessage(database.pool, id)).toMatchObject({ state: 'parked' }),
  );
  const cli = (...args: string[]) => runCli([...args, '--json'], { databaseUrl: database.url });
  expect(json(await cli('dlq', 'list'))).toMatchObject({ items: [], parkedMessages: 1 });
  expect(json(await cli('messages', 'list', '--status', 'parked'))).toMatchObject({ items: [{ id }] });
  json(await cli('messages', 'rollback', id));
  await eventually(async () =>
    expect(await database.rows('select 1 from outbox.message_batches')).toEqual([]),
  );
});

test.each([
  [['messages', 'commit']],
  [['messages', 'commit', 'x']],
  [['messages', 'list', '--limit', '0']],
  [['messages', 'list', '--status', 'odd']],
  [['messages', 'forget']],
  [['api', '--listen', 'nowhere']],
  [['run', '--api-listen', '8080']],
])('wrong use: %j', async (args) => {
  expect((await offline(args)).code).toBe(2);
});

test('api serves alone, without Temporal, and refuses to be open to all without a token', async () => {
  const database = await databaseWithProducer();
  const env = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
  const refused = await runCli(['api', '--listen', '0.0.0.0:0', '--json'], {
    databaseUrl: database.url,
    env,
  });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('OUTBOX_API_UNPROTECTED');
  const token = 'sixteen-characters-and-more';
  const serving = spawnRun({
    databaseUrl: database.url,
    args: ['api', '--listen', '127.0.0.1:0'],
    env: { ...env, OUTBOX_API_TOKEN: token },
  });
  const url = await eventually(() => {
    const found = /"api":"(http:[^"]+)"/.exec(serving.stdout())?.[1];
    expect(found, serving.stderr()).toBeDefined();
    return found ?? '';
  });
  const ask = (headers: Record<string, string>) => fetch(`${url}/v1/messages/${uuid7()}`, { headers });
  expect((await ask({})).status).toBe(401);
  expect((await ask({ authorization: `Bearer ${token}` })).status).toBe(404);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  serving.child.kill('SIGTERM');
  expect(await serving.ended).toMatchObject({ code: 0 });
  expect(serving.stdout()).not.toContain(token);
});

test('run serves it where it is asked to', async () => {
  const database = await databaseWithProducer();
  const running = await startRun({
    databaseUrl: database.url,
    apiListen: { host: '127.0.0.1', port: 0 },
    env: {},
  });
  const url = running.endpoints['api'] ?? '';
  const answer = await fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  });
  expect(answer.status).toBe(201);
});
