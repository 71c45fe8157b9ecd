/** examples/shop as its README tells: real services, killed again and again, and books that agree in the end. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/embedded/ports.ts';
import { beforeAll, expect, onTestFailed, test } from 'vitest';
import { enqueue, mysqlMarkers, prepareMessage } from '../../src/index.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { repository, startProcess, type ReceiverProcess } from '../receiver/process.ts';
import { startMariadb, type TestMariadb } from '../support/mariadb.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startTcpProxy,
  type TcpProxy,
  type TestDatabase,
} from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';

const folder = join(repository, 'examples', 'shop');
const secret = (fill: number): string => `whsec_${Buffer.alloc(32, fill).toString('base64')}`;
const secrets = { ORDERS_SECRET: secret(1), BILLING_SECRET: secret(2), SHIPPING_SECRET: secret(3) };

interface Order {
  readonly id: string;
  /** Cents. */
  readonly amount: number;
  readonly country: string;
}

/** A service as a process, and the wire on which the outbox reaches it. */
class Service {
  readonly #name: string;
  readonly #port: number;
  readonly #wire: TcpProxy;
  #process: ReceiverProcess | undefined;

  constructor(name: string, port: number, wire: TcpProxy) {
    this.#name = name;
    this.#port = port;
    this.#wire = wire;
  }

  /** Without the wire: where customers are. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** As the outbox knows it. */
  get wiredUrl(): string {
    return `http://${this.#wire.address}`;
  }

  async start(more: Record<string, string> = {}): Promise<void> {
    const { url: OUTBOX_DATABASE_URL } = database;
    this.#process = await startProcess(process.execPath, [join(folder, `${this.#name}.mjs`)], {
      ...secrets,
      OUTBOX_DATABASE_URL,
      PORT: `${this.#port}`,
      ...more,
    });
  }

  async killFor(ms: number, more: Record<string, string> = {}): Promise<void> {
    await this.#process?.kill();
    await sleep(ms);
    await this.start(more);
  }

  /** What is asked of it is done, and the outbox does not hear of it. */
  async loseAnswersFor(ms: number): Promise<void> {
    await this.#wire.become('drop-reply');
    await sleep(ms);
    await this.#wire.become('pass');
  }
}

async function service(name: string): Promise<Service> {
  const port = await freePort();
  return new Service(name, port, await startTcpProxy(`127.0.0.1:${port}`));
}

const post = (url: string, body: object): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5_000),
  });

/** As a customer who gets no answer does: again, until there is one. */
async function place(ordersUrl: string, order: Order): Promise<void> {
  await eventually(
    async () => {
      const response = await post(`${ordersUrl}/orders`, order);
      expect([200, 201]).toContain(response.status);
    },
    { timeout: 60_000, interval: 100 },
  );
}

/** One order in all three services. */
interface Books {
  readonly id: string;
  readonly state: string;
  /** Cents, in the order they were entered. */
  readonly entries: readonly number[];
  readonly parcels: readonly string[];
}

async function readBooks(mariadb: TestMariadb): Promise<Books[]> {
  const [orders] = await mariadb.pool.query('select id, state from orders order by id');
  const entries = await database.rows<{ order_id: string; amount: number }>(
    'select order_id, amount from billing.ledger order by entry',
  );
  const parcels = await database.rows<{ order_id: string; country: string }>(
    'select order_id, country from shipping.parcels order by parcel',
  );
  const known = orders as { id: string; state: string }[];
  const strangers = [...entries, ...parcels].filter(
    ({ order_id }) => !known.some(({ id }) => id === order_id),
  );
  expect(strangers).toEqual([]);
  return known.map(({ id, state }) => ({
    id,
    state,
    entries: entries.filter(({ order_id }) => order_id === id).map(({ amount }) => amount),
    parcels: parcels.filter(({ order_id }) => order_id === id).map(({ country }) => country),
  }));
}

let database: TestDatabase;
let orders: Service;
let billing: Service;
let shipping: Service;
/** Of the outbox. */
let env: Record<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  await migrateInbox(database.pool);
  await database.pool.query(await readFile(join(folder, 'shop.sql'), 'utf8'));
  [orders, billing, shipping] = await Promise.all([
    service('orders'),
    service('billing'),
    service('shipping'),
  ]);
  env = {
    ...secrets,
    ORDERS_URL: orders.wiredUrl,
    BILLING_URL: billing.wiredUrl,
    SHIPPING_URL: shipping.wiredUrl,
  };
  await applyTestConfig(database, await readFile(join(folder, 'outbox.yaml'), 'utf8'), env);
});

/** `temporal-outbox run`, as people start it. */
function startOutbox(): void {
  const outbox = spawnRun({ databaseUrl: database.url, env });
  onTestFailed(() => console.error(outbox.stdout().slice(-4_000), outbox.stderr()));
}

/** Dead letters that wait for a person. */
const parked = () =>
  database.rows<{ id: string; order: string }>(
    `select d.id::text as id, e.key as order from outbox.dead_letters d join outbox.events e on e.id = d.event_id
     where d.resolved_at is null order by e.key`,
  );

async function dlq(...args: string[]): Promise<void> {
  const { code, stderr } = await runCli(['dlq', ...args], { databaseUrl: database.url, env });
  expect(code, stderr).toBe(0);
}

test('each order is charged once, and shipped once or refunded once, whatever is killed', async (context) => {
  onlyWithEverything(context, 'kills');
  const mariadb = await startMariadb();
  const ofOrders = { ORDERS_DATABASE_URL: mariadb.url };
  await Promise.all([orders.start(ofOrders), billing.start(), shipping.start()]);
  startOutbox();

  const all: Order[] = Array.from({ length: 50 }, (_, index) => ({
    id: `o-${String(index + 1).padStart(2, '0')}`,
    amount: 100 + index,
    // Every tenth goes where shipping does not.
    country: index % 10 === 9 ? 'AQ' : 'DE',
  }));
  const unshippable = all.filter(({ country }) => country === 'AQ').map(({ id }) => id);

  // Four customers at once, one of whom places each order twice, while services die under their hands.
  const waiting = [...all];
  const customer = async (times: number): Promise<void> => {
    for (let order = waiting.shift(); order !== undefined; order = waiting.shift()) {
      for (let time = 1; time <= times; time++) await place(orders.url, order);
      await sleep(50);
    }
  };
  const killing = (async () => {
    for (let round = 1; round <= 3; round++) {
      await sleep(300);
      await Promise.all([orders.killFor(200, ofOrders), billing.loseAnswersFor(300)]);
      await Promise.all([billing.killFor(500), shipping.loseAnswersFor(300)]);
      await Promise.all([shipping.killFor(300), orders.loseAnswersFor(300)]);
    }
  })();
  await Promise.all([customer(1), customer(1), customer(1), customer(2), killing]);
  // Another order under the same id, and somebody who is not the outbox.
  const strangers = [
    await post(`${orders.url}/orders`, { ...all[0], amount: 1 }),
    await post(`${orders.url}/check-back`, { id: randomUUID() }),
    await post(`${billing.url}/hooks`, { orderId: 'o-01', amount: 1 }),
  ];
  expect(strangers.map(({ status }) => status)).toEqual([409, 401, 401]);

  // An orders process that died after its commit, and one that died before: the check-back tells them apart.
  const markers = mysqlMarkers(mariadb.pool);
  const halfMessage = (orderId: string) => ({
    producer: 'orders',
    type: 'order.placed',
    key: orderId,
    payload: { orderId, amount: 500, country: 'FR' },
  });
  const died = await prepareMessage(database.pool, halfMessage('o-died-after'));
  await markers.transaction(died.id, (connection) =>
    connection.query(`insert into orders (id, amount, country) values ('o-died-after', 500, 'FR')`),
  );
  await prepareMessage(database.pool, halfMessage('o-died-before'));

  // Every order that can be shipped is; the others wait for a person.
  const ids = [...all.map(({ id }) => id), 'o-died-after'].sort();
  await eventually(
    async () =>
      expect((await readBooks(mariadb)).map(({ id, state }) => [id, state])).toEqual(
        ids.map((id) => [id, unshippable.includes(id) ? 'placed' : 'shipped']),
      ),
    { timeout: 120_000, interval: 300 },
  );
  await eventually(async () => expect((await parked()).map(({ order }) => order)).toEqual(unshippable), {
    timeout: 60_000,
  });

  // One is corrected; the others are given up, while billing is away.
  const [corrected, ...discarded] = await parked();
  const away = billing.killFor(1_500);
  const payload = JSON.stringify({ orderId: corrected?.order, amount: 109, country: 'IT' });
  await Promise.all([
    dlq('edit', corrected?.id ?? '', '--payload', payload, '--reason', 'the customer moved'),
    dlq('discard', ...discarded.map(({ id }) => id), '--reason', 'no parcels to Antarctica'),
  ]);
  await away;

  const cancelled = discarded.map(({ order }) => order);
  const amountOf = new Map(
    [...all, { id: 'o-died-after', amount: 500 }].map(({ id, amount }) => [id, amount]),
  );
  const countryOf = (id: string): string =>
    id === corrected?.order ? 'IT' : id === 'o-died-after' ? 'FR' : 'DE';
  await eventually(
    async () =>
      expect(await readBooks(mariadb)).toEqual(
        ids.map((id) => {
          const amount = amountOf.get(id) ?? 0;
          return cancelled.includes(id)
            ? { id, state: 'cancelled', entries: [amount, -amount], parcels: [] }
            : { id, state: 'shipped', entries: [amount], parcels: [countryOf(id)] };
        }),
      ),
    { timeout: 60_000, interval: 300 },
  );
  // Nothing is under way any more that could change them, and nothing went wrong unseen.
  await eventually(
    async () =>
      expect(
        await database.rows(
          `select (select count(*)::int from outbox.deliveries) as deliveries,
                (select count(*)::int from outbox.prepared_messages where state in ('prepared', 'parked')) as open`,
        ),
      ).toEqual([{ deliveries: 0, open: 0 }]),
    { timeout: 60_000, interval: 300 },
  );
  expect(await parked()).toEqual([]);
  // The half message that no order came with, and those of orders that were placed twice.
  const rolledBack = await database.rows<{ n: number }>(
    `select count(*)::int as n from outbox.prepared_messages where state = 'rolled-back'`,
  );
  expect(rolledBack[0]?.n).toBeGreaterThanOrEqual(2);
}, 240_000);

test('a discard whose parcel had left after all refunds nothing', async () => {
  await database.pool.query(`insert into shipping.shipments (order_id, state) values ('o-left', 'shipped')`);
  await shipping.start();
  startOutbox();
  await enqueue(
    database.pool,
    {
      type: 'order.paid',
      key: 'o-left',
      payload: { orderId: 'o-left', amount: 700, country: 'AQ' },
    },
    { ownTransaction: true },
  );
  const open = await eventually(
    async () => {
      const [found] = await parked();
      expect(found?.order).toBe('o-left');
      return found?.id ?? '';
    },
    { timeout: 60_000 },
  );
  await dlq('discard', open, '--reason', 'lost');
  await eventually(
    async () =>
      expect(
        await database.rows(
          `select 1 from outbox.delivered d join outbox.events e on e.id = d.event_id
           where e.type = 'shipment.discarded' and e.key = 'o-left'`,
        ),
      ).toHaveLength(1),
    { timeout: 60_000 },
  );
  expect(await database.rows(`select type from outbox.events where key = 'o-left' order by id`)).toEqual([
    { type: 'order.paid' },
    { type: 'shipment.discarded' },
  ]);
}, 150_000);
