/** What is written down of attempts: each failure and the success after it, bounded, without secrets. */
import { expect, test } from 'vitest';
import { finishAttempt, recordFailures, type FailureRow } from '../../src/storage/attempts.ts';
import { readAttempts, type RecordedAttempt } from '../../src/storage/deadLetters.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  type Answer,
} from '../support/index.ts';
import { enqueue } from '../../src/index.ts';
import { expectClean, json } from '../cli/commands.ts';
import { claimedBatch, databaseWith, failure, openRun, rowsOfBatch } from '../storage/fixtures.ts';

const token = 'tok-1234567890';
const signing = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

test('two failures and the success after them: where, how long, with what, and what was answered', async () => {
  const database = await createTestDatabase();
  const answers: Answer[] = [{ status: 500, body: 'no \u001b[31mluck\u0000' }, 'reset'];
  const receiver = await startReceiver({
    answer: ({ headers, attempt }) =>
      headers['x-tenant'] === undefined ? 204 : (answers[attempt - 1] ?? 204),
  });
  const env = { TOKEN: token, PIN: '12', SIGNING: signing };
  await applyTestConfig(
    database,
    `
    destinations:
      billing:
        type: http
        url: '${receiver.url}?account=7'
        auth: { bearer: env:TOKEN }
        headers: { x-pin: env:PIN, x-api-key: in-the-file, x-plain: shown }
        signing: { scheme: standard-webhooks, secrets: [env:SIGNING] }
        retry: { initialInterval: 100ms }
    routes: [{ match: '*', to: [billing] }]`,
    env,
  );
  await startRun({ databaseUrl: database.url, env });
  const headers = { 'x-tenant': 'north', authorization: 'Bearer of-the-event' };
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: {}, headers },
    { ownTransaction: true },
  );
  const { id: smooth } = await enqueue(
    database.pool,
    { type: 'order.created', payload: {} },
    { ownTransaction: true },
  );
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(2));

  // A success at the first try writes nothing.
  expect(await readAttempts(database.pool, smooth, 'billing', 50)).toEqual([]);
  const history = await readAttempts(database.pool, id, 'billing', 50);
  const [first, second, third] = history as [RecordedAttempt, RecordedAttempt, RecordedAttempt];
  expect(history).toHaveLength(3);
  expect(first).toMatchObject({ try: 1, status: 500, errorClass: 'http-500', charged: true });
  expect(first.excerpt).toBe('no \\u{1b}[31mluck\\u{0}');
  expect(second).toMatchObject({ try: 2, status: null, errorClass: 'connection-reset', charged: false });
  expect(third).toMatchObject({ try: 3, status: 204, errorClass: null, message: null, charged: false });
  for (const attempt of history) {
    expect(attempt.address).toBe(`POST ${receiver.url}`);
    expect(attempt.durationMs).toBeGreaterThanOrEqual(0);
    expect(attempt.headers).toMatchObject({
      authorization: '[redacted]',
      'webhook-signature': '[redacted]',
      'x-pin': '[redacted]',
      'x-api-key': '[redacted]',
      'x-plain': 'shown',
      'outbox-attempt': String(attempt.try),
    });
    const text = JSON.stringify(attempt);
    for (const hidden of [token, signing, 'in-the-file', 'of-the-event', 'account=7'])
      expect(text).not.toContain(hidden);
  }

  const shown = await runCli(['events', 'show', id], { databaseUrl: database.url });
  expectClean(shown);
  expect(shown.stdout).toMatch(/attempts at billing\nTRY +AT \(UTC\) +TOOK +STATUS +CAME TO/);
  expect(shown.stdout).toMatch(/1 .* 500 +http-500 /);
  expect(shown.stdout).toMatch(/2 .* - +connection-reset, not charged /);
  expect(shown.stdout).toMatch(/3 .* 204 +delivered /);
  const told = json<{ attempts: { destination: string; attempts: RecordedAttempt[] }[] }>(
    await runCli(['events', 'show', id, '--json'], { databaseUrl: database.url }),
  );
  expect(told.attempts).toEqual([{ destination: 'billing', attempts: history }]);
});

test('of many attempts the first five and the last twenty are kept', async () => {
  const database = await databaseWith({ billing: {} });
  const { workflowId, events } = await claimedBatch(database.pool, 2);
  const attemptAll = async (over: (row: { seq: string }) => Partial<FailureRow>): Promise<void> => {
    const run = await openRun(database.pool, workflowId);
    const rows = await rowsOfBatch(database.pool, run.batchId);
    await recordFailures(
      database.pool,
      run,
      rows.map((row) => failure(row, over(row))),
    );
    await finishAttempt(database.pool, run, [], { maxSingles: 0, keep: true });
  };
  for (let round = 1; round <= 40; round++) await attemptAll(() => ({ message: `round ${round}` }));
  for (const id of events) {
    const tries = (await readAttempts(database.pool, id, 'billing', 100)).map((attempt) => attempt.try);
    expect(tries).toEqual([1, 2, 3, 4, 5, ...Array.from({ length: 20 }, (_, n) => 21 + n)]);
  }
});
