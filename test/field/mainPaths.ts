/**
 * The main paths, compact, for any stage: what must go on under whatever a database's owner, a pooler or an older server brings along.
 * Everything is written, run and asked by the roles that people grant; only what a person does as the owner goes by `owner`.
 */
import { expect } from 'vitest';
import { commitMessage, enqueue, prepareMessage, rollbackMessage } from '../../src/index.ts';
import { keepHouse, type HousekeepingReport } from '../../src/housekeeping/pass.ts';
import { maintainInbox, processOnce } from '../../src/inbox/index.ts';
import { connect, inTransaction, rowsOf, type Pool } from '../../src/storage/connect.ts';
import { makeOldDays, settle, writeOld } from '../housekeeping/stage.ts';
import {
  applyTestConfig,
  atEnd,
  eventually,
  quietLog,
  runCli,
  startReceiver,
  startRun,
} from '../support/index.ts';

export interface Stage {
  /** The database's own name, as `name:` of its configuration. */
  readonly name: string;
  /** Of the owner, directly: migrates, and makes days of the past. */
  readonly owner: Pool;
  /** What each role connects by; through a pooler where the stage has one. */
  readonly urls: {
    readonly producer: string;
    readonly relay: string;
    readonly operator: string;
    readonly consumer: string;
  };
  /** Whether a relay here may detach days by itself, or a pass of the owner's is to be tried too. */
  readonly ownerUrl?: string;
}

/** Runs all of them, one after another, and asserts what must hold. About 20 s. */
export async function walkMainPaths(stage: Stage): Promise<void> {
  const answers = new Map<string, number[]>();
  const receiver = await startReceiver({
    answer: ({ path, body }) => {
      if (path.endsWith('/check')) return { status: 200, body: '{"answer": "committed"}' };
      const { answer } = JSON.parse(body.toString()) as { answer?: string };
      return (answer === undefined ? undefined : answers.get(answer)?.shift()) ?? 200;
    },
  });
  await applyTestConfig(
    { pool: stage.owner, name: stage.name },
    `
    destinations:
      billing:
        type: http
        url: '${receiver.url}/billing'
        retry: { initialInterval: 200ms, maximumAttempts: 3, backoffCoefficient: 1 }
      ledger: { type: http, url: '${receiver.url}/ledger', ordering: key }
      stock:
        type: http
        url: '${receiver.url}/stock'
        circuit: { minimumRequests: 2, probeAfter: 1s }
    routes:
      - { match: 'bill.*', to: [billing] }
      - { match: 'ledger.*', to: [ledger] }
      - { match: 'stock.*', to: [stock] }
    producers:
      shop: { checkBack: { url: '${receiver.url}/check', grace: 1s } }
    `,
  );
  const pools = openPools(stage);
  const running = await startRun({ databaseUrl: stage.urls.relay });
  const { owner } = stage;
  const state = (id: string): Promise<{ state: string }[]> =>
    rowsOf(owner, `select state from outbox.deliveries where event_id = $1`, [id]);
  const delivered = (id: string): Promise<void> =>
    eventually(async () =>
      expect(await rowsOf(owner, 'select 1 from outbox.delivered where event_id = $1', [id])).toHaveLength(1),
    );
  const write = async (type: string, payload: object, more: object = {}): Promise<string> =>
    (await inTransaction(pools.producer, (client) => enqueue(client, { type, payload, ...more }))).id;

  // Deliver, and retry.
  await delivered(await write('bill.plain', {}));
  answers.set('twice', [500, 500]);
  await delivered(await write('bill.retry', { answer: 'twice' }));

  // Park, and resolve in each way.
  for (const [name, args] of [
    ['retry', []],
    ['edit', ['--payload', '{"edited": true}']],
    ['redirect', ['--to', 'stock']],
    ['discard', ['--reason', 'test']],
  ] as const) {
    answers.set(name, [422]);
    const id = await write('bill.parked', { answer: name });
    await eventually(async () => expect(await state(id)).toEqual([{ state: 'parked' }]));
    const [letter] = await rowsOf<{ id: string }>(
      owner,
      'select id from outbox.dead_letters where event_id = $1',
      [id],
    );
    const { code, stdout, stderr } = await runCli(['dlq', name, letter?.id ?? '', ...args, '--json'], {
      databaseUrl: stage.urls.operator,
    });
    expect({ name, code, said: code === 0 ? '' : stdout + stderr }).toEqual({ name, code: 0, said: '' });
    if (name === 'discard') await eventually(async () => expect(await state(id)).toEqual([]));
    else await delivered(id);
  }

  // Order by key: the head fails once.
  answers.set('head', [500]);
  const ordered = [];
  for (let n = 0; n < 5; n++)
    ordered.push(await write('ledger.entry', n === 0 ? { answer: 'head', n } : { n }, { key: 'account-1' }));
  for (const id of ordered) await delivered(id);
  const numbers = receiver.requests
    .filter(({ path }) => path.endsWith('/ledger'))
    .map(({ body }) => (JSON.parse(body.toString()) as { n: number }).n);
  expect([...new Set(numbers)]).toEqual([0, 1, 2, 3, 4]);

  // The circuit opens, and closes when the receiver is back.
  answers.set(
    'down',
    Array.from({ length: 8 }, () => 503),
  );
  const stocked = [];
  for (let n = 0; n < 6; n++) stocked.push(await write('stock.moved', { answer: 'down', n }));
  await eventually(async () =>
    expect(
      await rowsOf(
        owner,
        `select state from outbox.circuits where destination = 'stock' and opened_at is not null`,
      ),
    ).toHaveLength(1),
  );
  answers.set('down', []);
  for (const id of stocked) await delivered(id);

  // Half messages.
  const half = await prepareMessage(pools.producer, { producer: 'shop', type: 'bill.half', payload: {} });
  await commitMessage(pools.producer, half.id);
  await delivered(half.id);
  // Forgotten by its producer, who is asked.
  const silent = await prepareMessage(pools.producer, { producer: 'shop', type: 'bill.half', payload: {} });
  await delivered(silent.id);
  const other = await prepareMessage(pools.producer, { producer: 'shop', type: 'bill.half', payload: {} });
  await rollbackMessage(pools.producer, other.id);

  await tidy(stage, pools);
  await inbox(stage, pools);
  expect(running.logged.filter(({ level }) => level === 'error')).toEqual([]);
}

type Pools = ReturnType<typeof openPools>;

function openPools({ urls }: Stage) {
  const open = (url: string): Pool => {
    const pool = connect(url, { max: 4 });
    atEnd(() => pool.end());
    return pool;
  };
  return {
    producer: open(urls.producer),
    relay: open(urls.relay),
    operator: open(urls.operator),
    consumer: open(urls.consumer),
  };
}

/** A day past retention goes and what is unsettled stays, by each who may; an event is erased. */
async function tidy({ owner, urls, ownerUrl }: Stage, pools: Pools): Promise<void> {
  const passes: [number, Pool][] = [[9, pools.relay]];
  if (ownerUrl !== undefined) {
    const pool = connect(ownerUrl, { max: 4 });
    atEnd(() => pool.end());
    passes.push([8, pool]);
  }
  for (const [day, pool] of passes) {
    await makeOldDays(owner, day);
    const ids = await writeOld(owner, day, 10);
    await settle(owner, ids);
    const reports: HousekeepingReport[] = [];
    // A pass of the schedule's may be under way.
    await eventually(async () => {
      const report = await keepHouse({ pool, log: quietLog().log });
      if (report !== null) reports.push(report);
      expect(reports).toHaveLength(1);
    });
    expect(reports[0]?.waiting).toEqual([]);
    expect(reports[0]?.dropped.length).toBe(3);
  }
  const [event] = await rowsOf<{ id: string }>(
    owner,
    `select id from outbox.events where type = 'bill.plain'`,
  );
  const erased = await runCli(['erase', '--event', event?.id ?? '', '--json'], {
    databaseUrl: urls.operator,
  });
  expect(erased).toMatchObject({ code: 0 });
  expect(await rowsOf(owner, 'select payload from outbox.events where id = $1', [event?.id])).toEqual([
    { payload: null },
  ]);
}

async function inbox({ owner }: Stage, { consumer }: Pools): Promise<void> {
  await maintainInbox(owner);
  await owner.query('create table if not exists effects (n int); grant all on effects to public');
  for (let n = 0; n < 2; n++)
    await inTransaction(consumer, (client) =>
      processOnce(client, { consumer: 'books', messageId: 'order-1' }, () =>
        client.query('insert into effects values (1)'),
      ),
    );
  expect(await rowsOf(owner, 'select n from effects')).toHaveLength(1);
}
