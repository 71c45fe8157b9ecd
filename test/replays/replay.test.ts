/** A replay as people meet it: previewed and begun from the command line or from Temporal, paused, gone on with, killed. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import type { ReplayStanding } from '../../src/storage/replays.ts';
import { replayStateQuery } from '../../workflows/contract.ts';
import { everything, onlyWithEverything } from '../support/everything.ts';
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

interface Stage {
  readonly database: TestDatabase;
  readonly billing: Receiver;
  readonly client: Client;
  /** One `routes replay …` with --json, its answer parsed. */
  readonly replay: (...args: string[]) => Promise<{ readonly code: number | null; readonly answer: Answer }>;
}

interface Answer extends ReplayStanding {
  readonly count: number;
  readonly outcome: string;
  readonly message: string;
  readonly code: string;
  readonly items: readonly ReplayStanding[];
}

/** `count` events that no route took, and since then a route to `billing`. */
async function openStage(count: number): Promise<Stage> {
  const [database, billing, client] = await Promise.all([
    createTestDatabase(),
    startReceiver(),
    temporalClient(),
  ]);
  const config = (routes: string): string =>
    `destinations: { billing: { type: http, url: '${billing.url}' } }\nroutes: ${routes}`;
  await applyTestConfig(database, config('[]'));
  await database.pool.query(
    `insert into outbox.events (type, key, payload)
     select 'order.created', n % 50, jsonb_build_object('n', n) from generate_series(1, $1::int) n`,
    [count],
  );
  await applyTestConfig(database, config(`[{ match: 'order.*', to: [billing] }]`));
  return {
    database,
    billing,
    client,
    replay: async (...args) => {
      const { code, stdout, stderr } = await runCli(['routes', 'replay', ...args, '--json'], {
        databaseUrl: database.url,
      });
      return { code, answer: JSON.parse(stdout === '' ? stderr : stdout) as Answer };
    },
  };
}

/** Every event arrived, and was delivered once. */
async function allThereOnce({ database, billing }: Stage, count: number, timeout: number): Promise<void> {
  await eventually(
    async () =>
      expect(
        await database.rows(
          `select count(*)::int as n, count(distinct event_id)::int as events from outbox.delivered
           where not exists (select from outbox.deliveries)`,
        ),
      ).toEqual([{ n: count, events: count }]),
    { timeout },
  );
  expect(new Set(billing.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(count);
}

test(
  'killed twice, it goes on: each event is delivered once',
  async (context) => {
    onlyWithEverything(context, 'kills');
    const [count, rate] = everything ? [100_000, 2_000] : [1_500, 500];
    const stage = await openStage(count);
    const { database, replay } = stage;
    let running = spawnRun({ databaseUrl: database.url });
    const { answer } = await replay('--type', 'order.*', '--rate', String(rate), '--yes');
    expect(answer).toMatchObject({ outcome: 'done', count });
    const handled = async (): Promise<number> => {
      const [row] = await database.rows<{ n: number }>('select handled::int as n from outbox.replays');
      return row?.n ?? 0;
    };
    for (const part of [0.2, 0.6]) {
      await eventually(async () => expect(await handled()).toBeGreaterThan(count * part), {
        timeout: 120_000,
      });
      await running.kill();
      expect(await handled()).toBeLessThan(count);
      running = spawnRun({ databaseUrl: database.url });
    }
    await allThereOnce(stage, count, everything ? 300_000 : 60_000);
    const { answer: status } = await replay('status', answer.id);
    expect(status).toMatchObject({ state: 'done', total: count, done: count, deliveries: count, skipped: 0 });
  },
  everything ? 600_000 : 90_000,
);

test('a preview sends nothing; begun, it is paused, shown, resumed and cancelled from the command line', async () => {
  const stage = await openStage(400);
  const { database, replay, client } = stage;
  await startRun({ databaseUrl: database.url });
  const { answer: preview } = await replay('--type', 'order.*', '--since', '1h', '--rate', '20');
  expect(preview).toMatchObject({ state: 'previewed', count: 400, preview: { noRoute: 0 } });
  expect(await database.rows('select from outbox.deliveries')).toEqual([]);

  expect(await replay('resume', preview.id)).toMatchObject({ code: 0, answer: { outcome: 'done' } });
  await eventually(async () =>
    expect((await replay('status', preview.id)).answer.handled).toBeGreaterThan(0),
  );
  expect(await replay('pause', preview.id)).toMatchObject({ code: 0, answer: { outcome: 'done' } });
  const { answer: paused } = await replay('status', preview.id);
  expect(paused).toMatchObject({ state: 'paused' });
  expect(paused.handled).toBeLessThan(400);
  const handle = client.workflow.getHandle(preview.workflowId);
  await eventually(async () =>
    expect((await handle.query(replayStateQuery)).standing).toMatchObject({
      state: 'paused',
      handled: paused.handled,
    }),
  );
  expect(await handle.query('__temporal_workflow_metadata')).toMatchObject({
    currentDetails: expect.stringMatching(
      /is \*\*paused\*\*.*of 400 events[^]*`resume`[^]*`pause` by/,
    ) as unknown,
  });

  expect(await replay('cancel', preview.id)).toMatchObject({ code: 0 });
  expect(await handle.result()).toMatchObject({ state: 'canceled', handled: paused.handled });
  // A workflow that is over is started once more, only to say so.
  expect(await replay('resume', preview.id)).toMatchObject({
    code: 1,
    answer: { outcome: 'refused', message: 'it is canceled' },
  });
  expect((await replay('list')).answer.items).toMatchObject([{ id: preview.id, state: 'canceled' }]);
});

test('started by hand in Temporal, it shows what it would send and waits for resume', async () => {
  const stage = await openStage(30);
  const { database, client } = stage;
  await startRun({ databaseUrl: database.url });
  const start = (input: unknown) =>
    client.workflow.start('replay', {
      workflowId: `${database.name}/by-hand-${randomUUID()}`,
      taskQueue: database.taskQueue,
      args: [input],
    });
  const handle = await start({ type: 'order.*', rate: 1000 });
  await eventually(async () =>
    expect(await handle.query('__temporal_workflow_metadata')).toMatchObject({
      currentDetails: expect.stringMatching(
        /is a \*\*preview\*\*: nothing is sent before `resume`: 0 of 30/,
      ) as unknown,
    }),
  );
  await handle.signal('resume');
  expect(await handle.result()).toMatchObject({ state: 'done', done: 30 });
  await allThereOnce(stage, 30, 20_000);

  const refusals = [
    [{}, 'say which'],
    [{ type: 'order.*', to: 'nowhere' }, 'there is no destination nowhere'],
    ['order.*', 'one JSON object'],
    [{ types: 'order.*' }, 'there is no "types"'],
    [{ id: randomUUID() }, 'there is no replay'],
  ] as const;
  for (const [input, why] of refusals)
    await expect((await start(input)).result()).rejects.toMatchObject({
      cause: { message: expect.stringContaining(why) as unknown },
    });
});

test('what was not understood is refused before anything is frozen', async () => {
  const { database, replay } = await openStage(1);
  expect(await replay()).toMatchObject({ code: 2 });
  expect(await replay('--since', 'yesterday')).toMatchObject({ code: 2 });
  expect(await replay('--all', '--to', 'nowhere')).toMatchObject({ code: 2 });
  expect(await replay('status', randomUUID())).toMatchObject({ code: 1 });
  expect(await database.rows('select from outbox.replays')).toEqual([]);
});
