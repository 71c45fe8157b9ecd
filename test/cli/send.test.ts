import { beforeEach, expect, test } from 'vitest';
import { applyTestConfig, createTestDatabase, runCli, type TestDatabase } from '../support/index.ts';
import { expectClean, json, jsonError, type Ended } from './commands.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9' } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
});

async function send(args: readonly string[], input?: string): Promise<Ended> {
  return runCli(['send', ...args], { databaseUrl: database.url, ...(input === undefined ? {} : { input }) });
}

test('the payload is kept digit for digit, from an option or from stdin', async () => {
  const text = '{"total": 12345678901234567890.10, "n": 9007199254740993}';
  const first = await send([
    'order.created',
    '--payload',
    text,
    '--key',
    'k',
    '-H',
    'a=1',
    '-H',
    'b=x=y',
    '--json',
  ]);
  expect(json(first)).toMatchObject({ inserted: true, routed: true });
  expect((await send(['order.created'], text)).stdout).toMatch(/^[0-9a-f-]{36}\n$/);
  expect(await database.rows('select payload::text, key, headers from outbox.events order by id')).toEqual([
    {
      payload: '{"n": 9007199254740993, "total": 12345678901234567890.10}',
      key: 'k',
      headers: { a: '1', b: 'x=y' },
    },
    { payload: '{"n": 9007199254740993, "total": 12345678901234567890.10}', key: null, headers: {} },
  ]);
});

test('the same id or dedup key with the same content is a no-op, with other content a conflict', async () => {
  const args = ['order.created', '--dedup-key', 'shop-7'];
  expect(json(await send([...args, '-p', '1', '--json']))).toMatchObject({ inserted: true });
  expect(json(await send([...args, '-p', '1', '--json']))).toMatchObject({ inserted: false });
  const conflict = await send([...args, '-p', '2', '--json']);
  expect(conflict.code).toBe(1);
  expect(jsonError(conflict).code).toBe('OUTBOX_EVENT_CONFLICT');
  expect(await database.rows('select from outbox.events')).toHaveLength(1);
});

test('an event that no route takes is kept, and said so', async () => {
  const ended = await send(['log.line', '-p', '1', '--json']);
  expect(json(ended)).toMatchObject({ inserted: true, routed: false });
  expect(ended.stderr).toContain('no route takes log.line');
});

test('a delivery can be put off to a moment', async () => {
  await send(['order.created', '-p', '1', '--deliver-at', '10m']);
  await send(['order.created', '-p', '1', '--deliver-at', '2099-01-31T09:00:00+01:00']);
  expect(await database.rows('select state, due_at > now() as later from outbox.deliveries')).toEqual([
    { state: 'scheduled', later: true },
    { state: 'scheduled', later: true },
  ]);
  expect(
    await database.rows('select max(deliver_at) = $1 as same from outbox.events', ['2099-01-31T08:00:00Z']),
  ).toEqual([{ same: true }]);
});

test.each([
  ['NUL', '{"a": "\\u0000"}', /NUL/],
  ['half a character', '{"a": "\\ud800"}', /surrogate/],
  ['more than 1 MiB', `"${'x'.repeat(1024 * 1024)}"`, /1048576/],
  ['an id of another kind', ['--id', '9b2f0e3c-6d9d-4c8e-9d8e-0d6f1b1f2a3c', '-p', '1'], /UUIDv7/],
])('%s is refused with exit code 2, and nothing is written', async (_what, given, says) => {
  const ended = Array.isArray(given)
    ? await send(['order.created', ...given])
    : await send(['order.created'], given);
  expect(ended).toMatchObject({ code: 2, stdout: '' });
  expect(ended.stderr).toMatch(says);
  expectClean(ended);
  expect(await database.rows('select from outbox.events')).toHaveLength(0);
});
