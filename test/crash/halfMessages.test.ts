/**
 * A thousand half messages of each kind, from real producer processes, some of which are killed. What is delivered is what the
 * producer's own database says, no more and no less.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { answerCheckBack, postgresMarkers } from '../../src/index.ts';
import { connect } from '../../src/storage/connect.ts';
import { startApi, token } from '../api/support.ts';
import { configure, databaseWithProducer, statesOf } from '../halfMessages/support.ts';
import {
  atEnd,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  type TestDatabase,
} from '../support/index.ts';

const each = 1_000;
const program = fileURLToPath(new URL('./halfMessageProducer.mjs', import.meta.url));

test(
  '1,000 each committed, rolled back, crashed before the commit, crashed after it, unanswered',
  { timeout: 280_000 },
  async () => {
    const shop = await createTestDatabase({ migrated: false });
    await shop.pool.query('create table orders (id uuid primary key, mode text not null)');
    const markers = postgresMarkers(connectTo(shop), { lockTimeoutMs: 500 });
    await markers.migrate();
    const receiver = await startReceiver();
    const answering = await startReceiver({
      answer: async ({ body }) => {
        const { id } = JSON.parse(body.toString()) as { id: string };
        return { status: 200, body: JSON.stringify({ answer: await answerCheckBack(markers, id) }) };
      },
    });
    const database = await databaseWithProducer();
    const schedule = Array.from({ length: 14 }, () => '500ms').join(', ');
    await configure(database, {
      receiver: receiver.url,
      checkBack: `url: '${answering.url}', grace: 2s, timeout: 5s, schedule: [${schedule}]`,
    });
    const lossy = await losingAnswers(await startApi(database, { tokens: ['env:TOKEN'] }));
    await startRun({ databaseUrl: database.url });

    const produce = (mode: string) =>
      untilReady({
        SHOP_URL: shop.url,
        OUTBOX_URL: database.url,
        API_URL: lossy,
        API_TOKEN: token,
        MODE: mode,
        COUNT: String(each),
      });
    for (const mode of ['commit', 'rollback', 'unanswered']) await produce(mode);
    for (const mode of ['before', 'after']) {
      const producer = await produce(mode);
      producer.kill('SIGKILL');
    }

    await eventually(
      async () => expect(await statesOf(database)).toEqual({ committed: 3 * each, 'rolled-back': 2 * each }),
      { timeout: 120_000, interval: 500 },
    );
    const orders = await shop.rows<{ id: string; mode: string }>('select id, mode from orders');
    expect(countBy(orders.map(({ mode }) => mode))).toEqual({ commit: each, unanswered: each, after: each });
    await eventually(() => expect(receiver.requests.length).toBeGreaterThanOrEqual(orders.length), {
      timeout: 60_000,
      interval: 250,
    });
    await eventually(async () => expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]));
    expect(receiver.requests.map(({ id }) => id).sort()).toEqual(orders.map(({ id }) => id).sort());
    expect(await database.rows('select 1 from outbox.message_batches')).toEqual([]);
    expect(
      await database.rows(
        `select settled_by, count(*)::int as n from outbox.prepared_messages where type in ('order.after', 'order.before') group by 1`,
      ),
    ).toEqual([{ settled_by: 'check-back', n: 2 * each }]);
  },
);

function connectTo(database: TestDatabase) {
  const pool = connect(database.url, { max: 20 });
  atEnd(() => pool.end());
  return pool;
}

function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

async function untilReady(env: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  atEnd(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text: Buffer) => text.toString().includes('ready') && resolve());
    child.once('exit', (code) => reject(new Error(`the producer ended with ${code}: ${said}`)));
  });
  return child;
}

/** Hands every request on; commits arrive, and their answers never come back. */
async function losingAnswers(target: string): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const passed = forward(
      `${target}${incoming.url}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        if (incoming.url?.endsWith('/commit') === true)
          answer.resume().once('end', () => incoming.socket.destroy());
        else answer.pipe(outgoing.writeHead(answer.statusCode ?? 0, answer.headers));
      },
    );
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
