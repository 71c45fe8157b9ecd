/** examples/queues as their READMEs tell, over each queue; then many orders, with services killed and books that agree in the end. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { listParked, resolveParked } from '../../src/inbox/parked.ts';
import { repository } from '../receiver/process.ts';
import { requireJars } from '../support/brokers/jars.ts';
import { kafkaTopicsCommand, startKafka } from '../support/brokers/kafka.ts';
import { startRabbitmq } from '../support/brokers/rabbitmq.ts';
import { startRocketmq } from '../support/brokers/rocketmq.ts';
import { atEnd } from '../support/cleanup.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually, requires } from '../support/index.ts';
import { Shell, shellBlocks } from './readmeShell.ts';

interface Queue {
  /** What a README says → what is so here. */
  readonly addresses: Readonly<Record<string, string>>;
  /** For the shell: the queue's own programs. */
  readonly functions?: string;
}

async function rabbitmq(): Promise<Queue> {
  requires.program('rabbitmq-server');
  const { url } = await startRabbitmq();
  return { addresses: { 'amqp://guest:guest@localhost:5672': url } };
}

async function kafka(): Promise<Queue> {
  requireJars('kafka');
  const { plain } = await startKafka();
  return {
    addresses: { 'localhost:9092': plain },
    functions: `kafka-topics.sh() { ${kafkaTopicsCommand()} "$@"; }`,
  };
}

async function rocketmq(): Promise<Queue> {
  requireJars('rocketmq');
  const { endpoints, tools } = await startRocketmq();
  return {
    addresses: { 'localhost:8081': endpoints, 'localhost:9876': tools.nameServer },
    // Refused until the broker has told the name server of itself.
    functions: `mqadmin() { until ${tools.command} "$@" | grep success; do sleep 0.5; done; }`,
  };
}

const services = ['orders', 'stock', 'payments'] as const;

/** The three services in a shell, as their README starts them, and their databases. */
class Stage {
  readonly shell: Shell;
  readonly pools: Readonly<Record<(typeof services)[number], pg.Pool>>;
  readonly #port: number;
  readonly #pids: Record<string, number>;

  constructor(shell: Shell, ordersUrl: string, port: number, pids: Record<string, number>) {
    this.shell = shell;
    this.#port = port;
    this.#pids = pids;
    const open = (database: string | null): pg.Pool => {
      const pool = new pg.Pool({
        connectionString: database === null ? ordersUrl : ordersUrl.replace(/[^/]*$/, database),
        max: 2,
      });
      pool.on('error', () => undefined);
      atEnd(() => pool.end());
      return pool;
    };
    this.pools = { orders: open(null), stock: open('stock'), payments: open('payments') };
  }

  /**
   * Until so many orders, reservations and charges stand so; the books are a process each time they are asked for, and are looked at
   * once, after this.
   */
  async until(counts: Readonly<Record<string, number>>): Promise<void> {
    const states = async (pool: pg.Pool, text: string): Promise<Record<string, number>> => {
      const { rows } = await pool.query<{ state: string; n: number }>(text);
      return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
    };
    const { orders, stock, payments } = this.pools;
    await eventually(
      async () =>
        expect({
          ...(await states(orders, 'select state, count(*)::int as n from orders group by state')),
          ...(await states(stock, 'select state, count(*)::int as n from reservations group by state')),
          ...(await states(payments, `select 'charged' as state, count(*)::int as n from charges`)),
          ...(await states(
            payments,
            `select 'parked' as state, count(*)::int as n from outbox_inbox.parked where state = 'parked'`,
          )),
        }).toEqual(counts),
      { timeout: 120_000, interval: 100 },
    );
  }

  /** Lines of books.mjs. */
  async books(): Promise<string[]> {
    const said = await this.shell.run('node ../services/books.mjs');
    // Services write into the same terminal.
    return said.split('\n').filter((line) => /^[op]-\d+ {2}| on the shelf$/.test(line));
  }

  /** As a customer who gets no answer does: again, until there is one. */
  async place(order: { id: string; article: string; quantity: number; amount: number }): Promise<void> {
    await eventually(
      async () => {
        const response = await fetch(`http://127.0.0.1:${this.#port}/orders`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(order),
          signal: AbortSignal.timeout(5_000),
        });
        expect([200, 201]).toContain(response.status);
      },
      { timeout: 60_000, interval: 100 },
    );
  }

  async killAndStart(service: (typeof services)[number]): Promise<void> {
    process.kill(this.#pids[service]!, 'SIGKILL');
    const said = await this.shell.run(`node ../services/${service}.mjs & echo "pid of it: $!"`);
    this.#pids[service] = Number(/pid of it: (\d+)/.exec(said)?.[1]);
  }
}

async function follow(name: string, { addresses, functions = '' }: Queue): Promise<Stage> {
  const folder = join(repository, 'examples', 'queues', name);
  const port = await freePort();
  const here = (block: string): string =>
    Object.entries({ ...addresses, 'localhost:8090': `localhost:${port}` }).reduce(
      (text, [written, real]) => text.replaceAll(written, real),
      block,
    );
  const blocks = (await shellBlocks(join(folder, 'README.md'))).map(here);
  const place = (part: string): number => blocks.findIndex((block) => block.includes(part));
  const [both, dev, start] = [place('export QUEUE'), place('temporal-outbox dev'), place('tables.mjs')];
  const first = new Shell(folder, {});
  const second = new Shell(folder, { PORT: String(port) }, functions);
  first.begin(blocks[both]! + blocks[dev]!);
  for (const block of blocks.slice(0, dev)) await second.run(block);
  const databaseUrl = await first.until(/PostgreSQL\s+(postgres\S+)/);
  const temporalAddress = await first.until(/Temporal\s+(\S+:\d+)/);
  const started = blocks[start]!.replace(
    'ORDERS_DATABASE_URL=…',
    `ORDERS_DATABASE_URL='${databaseUrl}'`,
  ).replace('TEMPORAL_ADDRESS=…', `TEMPORAL_ADDRESS=${temporalAddress}`);
  const said = await second.run(`${started}\necho "pids: "$(jobs -p)`);
  const [, ...pids] = (/pids: ([\d ]+)/.exec(said)?.[1] ?? '').split(' ').map(Number);
  const stage = new Stage(
    second,
    databaseUrl,
    port,
    Object.fromEntries(services.map((each, n) => [each, pids[n]!])),
  );
  await Promise.all(
    ['orders listens', 'stock consumes', 'payments consumes'].map((line) => second.until(line)),
  );

  await second.run(blocks[start + 1]!);
  await stage.until({ paid: 1, placed: 1, reserved: 2, charged: 1, parked: 1 });
  expect(await stage.books()).toEqual([
    'o-1  paid  reserved 2 tea  charged 4200',
    'o-2  placed  reserved 300 tea  charged nothing',
    '1000 coffee, 698 tea on the shelf',
  ]);
  expect(await second.run(blocks[start + 2]!)).toContain('no card takes 990000');
  await stage.until({ paid: 1, cancelled: 1, reserved: 1, released: 1, charged: 1, parked: 0 });
  expect(await stage.books()).toEqual([
    'o-1  paid  reserved 2 tea  charged 4200',
    'o-2  cancelled  released 300 tea  charged nothing',
    '1000 coffee, 998 tea on the shelf',
  ]);
  return stage;
}

/** Twenty orders, each fifth too dear, while each service dies. */
async function killServices(stage: Stage): Promise<void> {
  const orders = Array.from({ length: 20 }, (_, n) => ({
    id: `p-${n + 10}`,
    article: 'coffee',
    quantity: 1 + (n % 3),
    amount: n % 5 === 4 ? 990_000 : 1_000 + n,
  }));
  const dear = orders.filter(({ amount }) => amount > 500_000);
  const killing = (async () => {
    for (const service of services) {
      await sleep(400);
      await stage.killAndStart(service);
    }
  })();
  for (const order of orders) {
    await stage.place(order);
    await sleep(50);
  }
  await killing;
  const cheap = orders.length - dear.length;
  await stage.until({
    ...{ paid: 1 + cheap, cancelled: 1, placed: dear.length },
    ...{ reserved: 1 + orders.length, released: 1, charged: 1 + cheap, parked: dear.length },
  });
  for (const { id } of await listParked(stage.pools.payments, { state: 'parked' }))
    await resolveParked(stage.pools.payments, id, { action: 'discard', actor: 'test', reason: 'too dear' });
  await stage.until({
    ...{ paid: 1 + cheap, cancelled: 1 + dear.length, reserved: 1 + cheap, released: 1 + dear.length },
    ...{ charged: 1 + cheap, parked: 0 },
  });
  const sold = orders
    .filter((order) => !dear.includes(order))
    .reduce((sum, { quantity }) => sum + quantity, 0);
  expect((await stage.books()).slice(2)).toEqual([
    ...orders.map(({ id, quantity, amount }) =>
      amount > 500_000
        ? `${id}  cancelled  released ${quantity} coffee  charged nothing`
        : `${id}  paid  reserved ${quantity} coffee  charged ${amount}`,
    ),
    `${1000 - sold} coffee, 998 tea on the shelf`,
  ]);
}

test.for([
  ['RabbitMQ', 'rabbitmq', rabbitmq],
  ['Kafka', 'kafka', kafka],
  ['RocketMQ', 'rocketmq', rocketmq],
] as const)(
  'over %s, followed literally, and then with services killed',
  { timeout: 400_000 },
  async ([, name, start], context) => {
    onlyWithEverything(context, 'servers of its own');
    const queue = await start();
    const stage = await follow(name, queue);
    await killServices(stage);
  },
);
