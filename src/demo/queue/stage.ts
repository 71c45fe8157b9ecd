import { parseConfig } from '../../config/load.ts';
import { startRabbitmq } from '../../embedded/index.ts';
import { connect, type Pool } from '../../storage/connect.ts';
import { startLocalOutbox, type LocalOutbox } from '../../testing/localOutbox.ts';
import type { StageOptions } from '../stage.ts';
import { openBilling, type Billing, type BillingOptions } from './billing.ts';
import { queueConfigText } from './config.ts';

/** Everything the story needs, started: the outbox of orders, a queue, and billing behind it. */
export interface QueueStage {
  readonly outbox: LocalOutbox;
  readonly billing: Billing;
  /** Of the orders. */
  readonly pool: Pool;
  /** Rejects when a server ends without being asked; never resolves. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

export async function openQueueStage({
  log,
  onOutcome,
  ...options
}: Omit<StageOptions, 'onReceipt'> & Pick<BillingOptions, 'onOutcome'>): Promise<QueueStage> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => undefined);
  };
  try {
    const queue = await startRabbitmq(options.onProgress ?? (() => undefined));
    closers.push(() => queue.stop());
    const env = { ...process.env, DEMO_QUEUE_URL: queue.url };
    const { config } = parseConfig(queueConfigText, { env, path: 'the configuration of the demo' });
    const outbox = await startLocalOutbox({ ...options, config, source: queueConfigText, env, log });
    closers.push(() => outbox.stop());
    const pool = connect(outbox.databaseUrl, { applicationName: 'temporal-outbox-demo', max: 4 });
    closers.push(() => pool.end());
    const billing = await openBilling({
      ...{ queueUrl: queue.url, ordersUrl: outbox.databaseUrl, ordersPool: pool, onOutcome },
    });
    closers.push(() => billing.close());
    let closing = false;
    closers.push(async () => (closing = true));
    const queueEnded = queue.exited.then(() =>
      closing ? new Promise<never>(() => undefined) : Promise.reject(new Error('RabbitMQ ended by itself')),
    );
    const failed = Promise.race([outbox.failed, queueEnded]);
    failed.catch(() => undefined);
    return { outbox, billing, pool, failed, close };
  } catch (error) {
    await close();
    throw error;
  }
}
