/** The reply is lost after the operation ran: of a claim, an acknowledgement, a producer's COMMIT, a start, a POST. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  servers,
  startReceiver,
  startRun,
  startTcpProxy,
  type TcpProxy,
} from '../support/index.ts';
import { drained, writeEvents } from './drain.ts';
import { onlyWithEverything } from '../support/everything.ts';

async function throughProxy(url: string): Promise<{ wire: TcpProxy; url: string }> {
  const direct = new URL(url);
  const wire = await startTcpProxy(direct.host);
  const proxied = new URL(url);
  proxied.host = wire.address;
  return { wire, url: proxied.href };
}

/** The operation runs, its reply never comes, and then the connection breaks. */
async function loseReply(wire: TcpProxy, forMs: number): Promise<void> {
  await wire.become('drop-reply');
  await sleep(forMs);
  await wire.become('pass');
}

async function stage(answer = 204) {
  const receiver = await startReceiver({ answer });
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', timeout: 2s, retry: { initialInterval: 200ms } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return { receiver, database };
}

test('replies of PostgreSQL lost again and again during a drain: claims and acknowledgements are neither lost nor doubled', async (context) => {
  onlyWithEverything(context, 'it takes half a minute');
  const { receiver, database } = await stage();
  const { wire, url } = await throughProxy(database.url);
  await startRun({ databaseUrl: url });
  const ids: string[] = [];
  for (let round = 0; round < 8; round++) {
    ids.push(...(await writeEvents(database.pool, 300)));
    await sleep(30 * round);
    await loseReply(wire, 150);
  }
  const repeats = await drained(database.pool, receiver, ids, 120_000);
  console.log(`replies of PostgreSQL lost 8 times: ${repeats} of ${ids.length} sent again`);
  // What a claim took without anybody knowing is found by the reconciler; only what was sent and not flushed may come twice.
  const delivered = await database.rows('select event_id from outbox.delivered');
  expect(delivered).toHaveLength(ids.length);
  expect(repeats).toBeLessThanOrEqual(8 * 250);
}, 180_000);

test('a producer whose COMMIT was not answered writes again under the same id: one event, one delivery', async () => {
  const { receiver, database } = await stage();
  const { wire, url } = await throughProxy(database.url);
  const [{ id } = { id: '' }] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
  const event = { id, type: 'order.created', payload: { total: 1 } };
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  atEnd(() => client.end().catch(() => undefined));
  await client.query('begin');
  await enqueue(client, event);
  await wire.become('drop-reply');
  const committing = client.query('commit');
  committing.catch(() => undefined);
  await eventually(async () => expect(await database.rows('select 1 from outbox.events')).toHaveLength(1));
  await wire.become('pass');
  await expect(committing).rejects.toThrow();

  const again = new pg.Client({ connectionString: url });
  await again.connect();
  atEnd(() => again.end());
  await again.query('begin');
  expect(await enqueue(again, event)).toMatchObject({ id, inserted: false });
  await again.query('commit');
  await startRun({ databaseUrl: database.url });
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(1));
  expect(receiver.of(id)).toHaveLength(1);
});

test('a start that Temporal took and whose reply was lost is not doubled', async () => {
  const { receiver, database } = await stage();
  const wire = await startTcpProxy(servers().temporalAddress);
  const temporal = { address: wire.address, namespace: servers().temporalNamespace };
  await startRun({ databaseUrl: database.url, temporal });
  const ids = await writeEvents(database.pool, 20);
  await eventually(() => expect(receiver.requests).toHaveLength(20));
  const started = wire.bytesSent();
  await wire.become('drop-reply');
  ids.push(...(await writeEvents(database.pool, 20)));
  await eventually(() => expect(wire.bytesSent()).toBeGreaterThan(started));
  await sleep(1_000);
  await wire.become('pass');
  expect(await drained(database.pool, receiver, ids)).toBe(0);
}, 120_000);

test('a POST that the receiver took and whose answer was lost comes again under the same key, uncharged', async () => {
  const { receiver, database } = await stage();
  const wire = await startTcpProxy(`127.0.0.1:${receiver.port}`);
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: 'http://${wire.address}/hook', timeout: 1s, retry: { initialInterval: 200ms } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  await startRun({ databaseUrl: database.url });
  await wire.become('drop-reply');
  const [id = ''] = await writeEvents(database.pool, 1);
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  await eventually(async () => {
    const [attempt] = await database.rows('select charged, status from outbox.attempts');
    expect(attempt).toEqual({ charged: false, status: null });
  });
  await wire.become('pass');
  const repeats = await drained(database.pool, receiver, [id]);
  expect(repeats).toBeGreaterThanOrEqual(1);
  expect(receiver.of(id).map(({ key }) => key)).toEqual(Array(repeats + 1).fill(`billing/${id}`));
});
