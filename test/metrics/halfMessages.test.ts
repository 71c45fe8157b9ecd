/** What /metrics, `status`, `status --check` and `doctor` say of half messages whose producer is silent. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { prepareMessage, readMessage } from '../../src/index.ts';
import { databaseWithProducer } from '../halfMessages/support.ts';
import { eventually, runCli, startRun, type TestDatabase } from '../support/index.ts';
import { scrape } from './scrape.ts';

const shop = { producer: 'shop' };
const message = { ...shop, type: 'order.paid', payload: { total: 1 } };

async function looking(database: TestDatabase) {
  const { endpoints } = await startRun({
    databaseUrl: database.url,
    metricsListen: parseListen('127.0.0.1:0'),
    roles: { relay: true, worker: false },
  });
  return () => scrape(endpoints['metrics']);
}

async function cli({ url }: TestDatabase, ...args: string[]): Promise<string> {
  return (await runCli(args, { databaseUrl: url })).stdout;
}

async function doctorOf(database: TestDatabase): Promise<{ level: string; found: string; hint: string }> {
  const { checks } = JSON.parse(await cli(database, 'doctor', '--json')) as {
    checks: { check: string; level: string; found: string; hint: string }[];
  };
  const found = checks.find(({ check }) => check === 'half messages');
  if (found === undefined) throw new Error('doctor has no check half messages');
  return found;
}

test('messages that nobody asks about: overdue, how late, how old', async () => {
  const database = await databaseWithProducer();
  const scrapeNow = await looking(database);
  const count = async (): Promise<Record<string, number | undefined>> => {
    const found = await scrapeNow();
    const states = ['prepared', 'overdue', 'parked'] as const;
    return Object.fromEntries(
      states.map((state) => [state, found.value('outbox_half_messages', { ...shop, state })]),
    );
  };
  expect(await count()).toEqual({ prepared: 0, overdue: 0, parked: 0 });
  for (let n = 0; n < 3; n++) await prepareMessage(database.pool, message);
  await eventually(async () => expect(await count()).toEqual({ prepared: 3, overdue: 0, parked: 0 }));
  expect(await cli(database, 'status', '--check')).toMatch(/^OK/);
  expect(await doctorOf(database)).toMatchObject({ level: 'ok' });

  // No worker runs that could ask.
  await database.pool.query(
    `update outbox.prepared_messages set prepared_at = now() - interval '1 hour', next_check_at = now() - interval '12 minutes'
     where id = (select min(id::text)::uuid from outbox.prepared_messages)`,
  );
  await eventually(async () => expect(await count()).toEqual({ prepared: 2, overdue: 1, parked: 0 }));
  const found = await scrapeNow();
  expect(found.value('outbox_half_messages_oldest_seconds', shop)).toBeGreaterThanOrEqual(3600);
  expect(found.value('outbox_half_messages_oldest_seconds', shop)).toBeLessThan(3700);
  expect(found.value('outbox_check_back_late_seconds', shop)).toBeGreaterThanOrEqual(720);
  expect(found.value('outbox_check_back_late_seconds', shop)).toBeLessThan(820);
  expect(await cli(database, 'status', '--check')).toMatch(
    /^CRITICAL: shop: a check-back is 12 min.* late \(limit 5 min\)\n$/,
  );
  expect(await cli(database, 'status', '--check', '--max-lag', '1h')).toMatch(/^OK/);
  expect(await cli(database, 'status')).toMatch(
    /PRODUCER +PREPARED +OVERDUE +PARKED +OLDEST\nshop +3 +1 +0 +1 h/,
  );
  expect(await doctorOf(database)).toMatchObject({
    level: 'warn',
    found: expect.stringMatching(/^shop should have been asked back 12 min.* ago and was not$/) as string,
    hint: expect.stringContaining('worker') as string,
  });
});

test('a parked one waits for a person: counted, and a limit of status --check like dead letters', async () => {
  const database = await databaseWithProducer({
    checkBack: `url: 'http://127.0.0.1:9/', grace: 100ms, timeout: 500ms, schedule: [50ms]`,
  });
  await startRun({ databaseUrl: database.url });
  const scrapeNow = await looking(database);
  const { id } = await prepareMessage(database.pool, message);
  await eventually(async () =>
    expect(await readMessage(database.pool, id)).toMatchObject({ state: 'parked' }),
  );
  await eventually(async () => {
    const found = await scrapeNow();
    expect(found.value('outbox_half_messages', { ...shop, state: 'parked' })).toBe(1);
    expect(found.value('outbox_check_back_late_seconds', shop)).toBe(0);
  });
  expect(await cli(database, 'status', '--check')).toBe('CRITICAL: shop: 1 half messages parked (limit 0)\n');
  const { problems } = JSON.parse(await cli(database, 'status', '--check', '--json')) as {
    problems: object[];
  };
  expect(problems).toEqual([
    { what: 'messages-parked', destination: null, producer: 'shop', value: 1, limit: 0 },
  ]);
  expect(await cli(database, 'status', '--check', '--max-parked', '1')).toBe(
    'OK: 1 destination, lag 0 s, 1 parked\n',
  );
  expect(await doctorOf(database)).toMatchObject({
    level: 'warn',
    found: '1 of shop wait for a person',
    hint: 'temporal-outbox messages list --status parked',
  });
});
