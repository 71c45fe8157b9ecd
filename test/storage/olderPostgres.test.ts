/** The same SQL on a server older than the embedded 18, where the system has one. */
import { expect, test } from 'vitest';
import { finishAttempt, recordFailures } from '../../src/storage/attempts.ts';
import { makePartitions } from '../../src/storage/claims.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { prepareRevision, resolve } from '../../src/storage/resolutions.ts';
import { enqueue } from '../../src/index.ts';
import { applyTestConfig, uniqueName } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { startOlderPostgres } from '../support/olderPostgres.ts';
import { claimOpen, failure, rowsOfBatch, soleRelay, yamlOf } from './fixtures.ts';

test('on the oldest PostgreSQL at hand the schema migrates, events are written, claimed, parked and resolved', async (context) => {
  onlyWithEverything(context, 'other versions');
  const { pool, version } = await startOlderPostgres();
  const rows = async (sql: string, values: unknown[] = []) =>
    (await pool.query<Record<string, unknown>>(sql, values)).rows;
  expect(await rows(`select current_setting('server_version_num')::int / 10000 as version`)).toEqual([
    { version },
  ]);

  await migrate(pool);
  expect(await makePartitions(pool)).toBe(0);
  const routes = `[{ match: '*', where: '$.at.datetime() < "2030-01-01".datetime()', to: [billing] }, { match: 'merged', to: [billing] }]`;
  await applyTestConfig({ pool, name: uniqueName() }, yamlOf({ billing: {}, backup: {} }, routes));

  const at = '{"at": "2026-01-01T00:00:00+01"}';
  await pool.query(`insert into outbox.events (type, payload) values ('a', $1), ('b', '{"at": "never"}')`, [
    at,
  ]);
  await pool.query(
    `merge into outbox.events e using (values ('merged')) n(type) on e.type = n.type
     when not matched then insert (type, payload) values (n.type, '{}')`,
  );
  const event = { type: 'c', payloadText: at, dedupKey: 'once' };
  const { id } = await enqueue(pool, event, { ownTransaction: true });
  expect(await enqueue(pool, event, { ownTransaction: true })).toEqual({ id, inserted: false });
  expect(
    await rows(
      'select count(*)::int as n, bool_and(abs(extract(epoch from outbox.uuid7_time(id) - created_at)) < 1) as timely from outbox.events',
    ),
  ).toEqual([{ n: 4, timely: true }]);
  expect(await rows('select type from outbox.unrouted')).toEqual([{ type: 'b' }]);

  const [batch] = await claimOpen(pool, await soleRelay(pool));
  const opened = batch?.opened?.batch;
  if (opened === undefined) throw new Error('nothing was claimed');
  const [first, ...others] = await rowsOfBatch(pool, opened.batchId);
  if (first === undefined) throw new Error('no rows');
  await recordFailures(pool, opened, [failure(first, { park: 'exhausted' })]);
  const summary = await finishAttempt(
    pool,
    opened,
    others.map(({ seq }) => seq),
    { maxSingles: 200, keep: true },
  );
  const [single] = summary?.singles ?? [];
  await prepareRevision(pool, {
    eventId: first.eventId,
    destination: 'billing',
    payload: '1',
    headers: null,
    actor: null,
    reason: null,
  });
  expect(
    await resolve(pool, single?.workflowId ?? '', { action: 'edit', revision: 2 }, 'signal'),
  ).toMatchObject({ outcome: 'done' });
  expect(await rows('select state, revision from outbox.deliveries')).toEqual([
    { state: 'retry', revision: 2 },
  ]);
  expect(await rows('select 1 from outbox.delivered')).toHaveLength(2);
}, 90_000);
