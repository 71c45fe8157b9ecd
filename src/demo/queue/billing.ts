/** The service behind the queue: a database of its own with an inbox, and a consumer. */
import { createConsumer, Refusal, type Consumer } from '../../consumer/index.ts';
import { migrateInbox } from '../../inbox/index.ts';
import { connect, type Pool } from '../../storage/connect.ts';
import { orderOf } from '../receiver.ts';
import { orders } from '../stage.ts';

export interface Billing {
  readonly databaseUrl: string;
  readonly pool: Pool;
  readonly consumer: Consumer;
  /** Ids of messages whose handler threw. */
  readonly failed: ReadonlySet<string>;
  /** From now on it takes the order it refused. */
  repair(): void;
  close(): Promise<void>;
}

export interface BillingOptions {
  readonly queueUrl: string;
  /** Of the orders; billing's own database is made beside it. */
  readonly ordersUrl: string;
  readonly ordersPool: Pool;
  /** What became of an order's message. */
  readonly onOutcome: (order: number | null, outcome: 'processed' | 'failed' | 'parked') => void;
}

const schema = `create table invoices (event_id text not null, "order" integer not null, body text not null)`;

export async function openBilling(options: BillingOptions): Promise<Billing> {
  const { queueUrl, ordersUrl, ordersPool, onOutcome } = options;
  await ordersPool.query('create database billing');
  const address = new URL(ordersUrl);
  address.pathname = '/billing';
  const databaseUrl = address.href;
  const pool = connect(databaseUrl, { applicationName: 'temporal-outbox-demo-billing', max: 10 });
  try {
    await migrateInbox(pool);
    // No constraint keeps a second invoice of an order away: that is what the inbox is for.
    await pool.query(schema);
  } catch (error) {
    await pool.end();
    throw error;
  }
  const known = new Map<string, number | null>();
  const failed = new Set<string>();
  const state = { repaired: false, wobbles: 2 };
  const consumer = createConsumer({
    from: { type: 'rabbitmq', url: queueUrl, queue: 'billing', declare: 'quorum' },
    consumer: 'billing',
    pool,
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumAttempts: 5 },
    handler: async (client, message) => {
      const body = message.text();
      const order = orderOf(body);
      known.set(message.webhookId, order);
      await client.query('insert into invoices (event_id, "order", body) values ($1, $2, $3)', [
        message.webhookId,
        order,
        body,
      ]);
      if (order === orders.refused && !state.repaired)
        throw new Refusal(422, 'the customer is unknown to billing');
      if (order === orders.wobbly && state.wobbles-- > 0) throw new Error('billing wobbles');
    },
    onEvent: ({ kind, messageId }) => {
      if (messageId === null || (kind !== 'processed' && kind !== 'failed' && kind !== 'parked')) return;
      if (kind === 'failed') failed.add(messageId);
      onOutcome(known.get(messageId) ?? null, kind);
    },
    onError: () => undefined,
  });
  return {
    ...{ databaseUrl, pool, consumer, failed },
    repair: () => (state.repaired = true),
    close: async () => {
      await consumer.stop();
      await pool.end();
    },
  };
}
