/** The consumer that rows work with: what a message asks of it, it does, and it writes down that it was called. */
import type pg from 'pg';
import {
  createConsumer,
  Refusal,
  type Consumer,
  type ConsumedMessage,
  type ConsumerOptions,
} from '../../consumer/index.ts';

/** JSON of a message. `fails`: so many calls fail. `dies`: so many calls end the process. `takes`: milliseconds. */
export interface Asked {
  readonly n: number;
  readonly fails?: number;
  readonly refused?: boolean;
  readonly dies?: boolean;
  readonly takes?: number;
}

export const schema = `
  create table effects (number serial, n integer, key text, message_id text, body bytea);
  create table calls (number serial, n integer, at timestamptz default clock_timestamp());
  create table told (n integer);
  create table mistakes (text text);
`;

/** @param aside of the same database, for what stays when a transaction is rolled back */
export function startTestConsumer(
  pool: pg.Pool,
  aside: pg.Pool,
  options: Omit<ConsumerOptions, 'pool' | 'handler'>,
): Consumer {
  return createConsumer({
    keptInterval: '50ms',
    onError: (error) => noteMistake(error, aside),
    ...options,
    pool,
    handler: (client, message) => handle(client, message, aside),
    onDiscard: (client, message) =>
      client.query('insert into told (n) values ($1)', [message.json<Asked>().n]),
  });
}

async function handle(client: pg.PoolClient, message: ConsumedMessage, aside: pg.Pool): Promise<void> {
  const isJson = message.contentType?.startsWith('application/json') === true;
  const {
    n,
    fails = 0,
    refused = false,
    dies = false,
    takes = 0,
  } = isJson ? message.json<Asked>() : { n: -1 };
  const { rows } = await aside.query<{ calls: number }>(
    'with called as (insert into calls (n) values ($1)) select count(*)::int + 1 as calls from calls where n = $1',
    [n],
  );
  await client.query('insert into effects (n, key, message_id, body) values ($1, $2, $3, $4)', [
    ...[n, message.key, message.webhookId, isJson ? null : Buffer.from(message.body)],
  ]);
  if (dies) process.kill(process.pid, 'SIGKILL');
  if (takes > 0) await new Promise((resolve) => setTimeout(resolve, takes));
  if (refused) throw new Refusal(422, 'not in this world');
  if ((rows[0]?.calls ?? 1) <= fails) throw new Error(`call ${rows[0]?.calls} fails`);
}

/** What the language throws is a mistake in the consumer, though all goes well in the end: a message that comes again when its lease has run out, say. */
function noteMistake(error: unknown, aside: pg.Pool): void {
  if (!(error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError)) return;
  aside.query('insert into mistakes (text) values ($1)', [error.stack]).catch(() => undefined);
}
