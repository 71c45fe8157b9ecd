/** Row-level security that nobody wrote policies for, as some platforms switch it on: named by whoever would see no row. */
import { expect, test } from 'vitest';
import { connect, inTransaction } from '../../src/storage/connect.ts';
import { processOnce } from '../../src/inbox/index.ts';
import { applyTestConfig, atEnd, eventually, runCli, startRun } from '../support/index.ts';
import { directStage, type DirectStage } from './stages.ts';

async function stage(): Promise<DirectStage> {
  const direct = await directStage();
  await applyTestConfig(
    { pool: direct.owner, name: direct.name },
    `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9/' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return direct;
}

async function secure({ owner }: DirectStage, tables = '%'): Promise<void> {
  await owner.query(`do $$ declare t regclass; begin
    for t in select oid::regclass from pg_class where relkind in ('r', 'p') and relname like '${tables}'
             and relnamespace in ('outbox'::regnamespace, 'outbox_inbox'::regnamespace) loop
      execute format('alter table %s enable row level security', t);
    end loop; end $$`);
}

test.for([
  ['every table', '%'],
  ['deliveries alone', 'deliveries'],
] as const)('on for %s: run, commands and doctor refuse with its name', async ([, tables]) => {
  const direct = await stage();
  await secure(direct, tables);
  const code = 'OUTBOX_ROW_SECURITY';
  await expect(startRun({ databaseUrl: direct.urls.relay })).rejects.toMatchObject({
    code,
    message: expect.stringContaining(direct.logins.relay) as string,
    hint: expect.stringContaining('disable row level security') as string,
  });
  for (const args of [['status'], ['dlq', 'list'], ['destinations', 'pause', 'billing'], ['doctor']]) {
    const { stdout, stderr } = await runCli(args, { databaseUrl: direct.urls.operator });
    expect({ args, said: stdout + stderr }).toEqual({
      args,
      said: expect.stringMatching(/row-level security hides every row of outbox\.\w+/) as string,
    });
  }
  // Its owner sees all rows, and still says so.
  const doctor = await runCli(['doctor'], { databaseUrl: direct.ownerUrl });
  expect(doctor.stdout).toMatch(/FAIL +row security +on, with no policy/);
  const migrated = await runCli(['migrate', '--skip-config'], { databaseUrl: direct.ownerUrl });
  expect(migrated).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/warning row-level security is on for outbox\.\w+/) as string,
  });
});

test('a producer and a consumer that no policy lets write are told the table by PostgreSQL itself', async () => {
  const direct = await stage();
  await secure(direct);
  const [producer, consumer] = [direct.urls.producer, direct.urls.consumer].map((url) => {
    const pool = connect(url, { max: 1 });
    atEnd(() => pool.end());
    return pool;
  });
  await expect(
    producer?.query(`insert into outbox.events (type, payload) values ('order.created', '{}')`),
  ).rejects.toMatchObject({ code: '42501', message: expect.stringContaining('events') as string });
  if (consumer === undefined) throw new Error('no consumer');
  await expect(
    inTransaction(consumer, (client) =>
      processOnce(client, { consumer: 'books', messageId: 'order-1' }, () => Promise.resolve()),
    ),
  ).rejects.toMatchObject({
    code: '42501',
    message: expect.stringContaining('row-level security') as string,
  });
});

test('switched on under a running process it is red, and green when it is off again', async () => {
  const direct = await stage();
  const running = await startRun({
    databaseUrl: direct.urls.relay,
    metricsListen: { host: '127.0.0.1', port: 0 },
  });
  const readiness = async () => {
    const answer = await fetch(`${running.endpoints['metrics']}/readyz`);
    return { status: answer.status, text: await answer.text() };
  };
  await eventually(async () => expect(await readiness()).toMatchObject({ status: 200 }));
  await direct.owner.query('alter table outbox.deliveries enable row level security');
  await eventually(async () =>
    expect(await readiness()).toMatchObject({
      status: 503,
      text: expect.stringContaining('row-level security hides every row of outbox.deliveries') as string,
    }),
  );
  await direct.owner.query('alter table outbox.deliveries disable row level security');
  await eventually(async () => expect(await readiness()).toMatchObject({ status: 200 }));
});
