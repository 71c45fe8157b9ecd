/** `dlq causes`, `dlq cause`, and the filter `--cause`: why letters are parked, and the letters of one cause. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { expectClean, json } from './commands.ts';

interface Listed {
  readonly items: readonly {
    readonly id: string;
    readonly status: number;
    readonly error: string;
    readonly open: number;
    readonly trend: readonly number[];
    readonly note: string | null;
    readonly owner: string | null;
  }[];
  readonly more: boolean;
}

test('letters are listed by cause, a note stays with it, and a retry by cause takes its letters alone', async () => {
  const database = await createTestDatabase();
  let stock = false;
  const billing = await startReceiver({
    answer: ({ body }) => {
      const { n } = JSON.parse(body.toString()) as { n: number };
      if (n % 3 === 0) return { status: 422, body: `{"error":"customer c-${n} is unknown"}` };
      return stock ? 204 : { status: 409, body: `article ${n} is out of stock` };
    },
  });
  await applyTestConfig(
    database,
    `
    destinations:
      billing:
        { type: http, url: '${billing.url}', circuit: { enabled: false }, retry: { nonRetryableStatusCodes: [409, 422] } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  await startRun({ databaseUrl: database.url });
  const events = Array.from({ length: 9 }, (_, n) => ({ type: 'order.created', payload: { n } }));
  await enqueue(database.pool, events, { ownTransaction: true });
  const dlq = (...args: string[]) => runCli(['dlq', ...args], { databaseUrl: database.url });
  const causes = async () => json<Listed>(await dlq('causes', '--json'));

  const { items } = await eventually(async () => {
    const listed = await causes();
    expect(listed.items.reduce((sum, { open }) => sum + open, 0)).toBe(9);
    return listed;
  });
  expect(items.map(({ status, error, open, trend }) => [status, error, open, trend.at(-1)])).toEqual([
    [409, 'article # is out of stock', 6, 6],
    [422, 'customer # is unknown', 3, 3],
  ]);
  const [{ id } = { id: '' }] = items;

  const noted = await dlq(
    'cause',
    id,
    '--note',
    'supplier \u001b[31mwas called',
    '--owner',
    'ann',
    '--actor',
    'ann',
  );
  expectClean(noted);
  expect(noted.stdout).toMatch(/cause [0-9a-f]{12}: billing, 409/);
  expect(noted.stdout).toContain(`temporal-outbox dlq retry --cause ${id}`);
  expect((await causes()).items[0]).toMatchObject({
    id,
    owner: 'ann',
    note: 'supplier \u001b[31mwas called',
  });
  const text = await dlq('causes');
  expectClean(text);
  expect(text.stdout.split('\n')[1]).toMatch(
    new RegExp(`^${id} +6 +. +.*billing +409 +article # is out of stock +ann`),
  );
  expect(json<{ items: unknown[] }>(await dlq('list', '--cause', id, '--json')).items).toHaveLength(6);

  stock = true;
  expect(json(await dlq('retry', '--cause', id, '--yes', '--wait', '--json'))).toMatchObject({
    state: 'done',
    count: 6,
    done: 6,
  });
  expect((await causes()).items.map(({ status }) => status)).toEqual([422]);
  expect(json<Listed>(await dlq('causes', '--all', '--json')).items.map(({ open }) => open)).toEqual([3, 0]);
});

test('a cause that is none is refused, by form and by name', async () => {
  const database = await createTestDatabase();
  const dlq = (...args: string[]) => runCli(['dlq', ...args], { databaseUrl: database.url });
  expect(await dlq('cause', 'x')).toMatchObject({ code: 2, stdout: '' });
  const missing = await dlq('cause', '0123456789ab');
  expect(missing).toMatchObject({ code: 1, stdout: '' });
  expect(missing.stderr).toContain('OUTBOX_NOT_FOUND there is no cause 0123456789ab');
  expect((await dlq('causes')).stdout).toBe('no open dead letters\n');
});
