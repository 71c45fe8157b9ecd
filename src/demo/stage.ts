import { randomBytes } from 'node:crypto';
import type { Log } from '../../activities/index.ts';
import { parseConfig } from '../config/load.ts';
import { connect, type Pool } from '../storage/connect.ts';
import { connectTemporal, type Temporal } from '../temporal/connect.ts';
import { startLocalOutbox, type LocalOutbox, type LocalOutboxOptions } from '../testing/localOutbox.ts';
import { demoConfigText } from './config.ts';
import { startReceiver, type Receipt, type Receiver } from './receiver.ts';

/** Orders of the story; every fourth customer changes their mind. */
export const orders = { first: 1, last: 16, everyUndone: 4, wobbly: 6, refused: 13 } as const;

/** Everything the story needs, started. */
export interface Stage {
  readonly outbox: LocalOutbox;
  readonly receiver: Receiver;
  readonly pool: Pool;
  readonly temporal: Temporal;
  close(): Promise<void>;
}

export interface StageOptions extends Pick<LocalOutboxOptions, 'ports' | 'dashboardPort' | 'onProgress'> {
  readonly log: Log;
  readonly onReceipt: (receipt: Receipt) => void;
}

export async function openStage({ log, onReceipt, ...options }: StageOptions): Promise<Stage> {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const receiver = await startReceiver({
    secret,
    onReceipt,
    wobblyOrder: orders.wobbly,
    refusedOrder: orders.refused,
  });
  const closers: (() => Promise<unknown>)[] = [() => receiver.close()];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => undefined);
  };
  try {
    const env = { ...process.env, DEMO_BILLING_URL: receiver.url, DEMO_BILLING_SECRET: secret };
    const { config } = parseConfig(demoConfigText, { env, path: 'the configuration of the demo' });
    const outbox = await startLocalOutbox({ ...options, config, source: demoConfigText, env, log });
    closers.push(() => outbox.stop());
    const pool = connect(outbox.databaseUrl, { applicationName: 'temporal-outbox-demo', max: 4 });
    closers.push(() => pool.end());
    const temporal = await connectTemporal({
      address: outbox.temporalAddress,
      namespace: outbox.namespace,
      ignoreEnvironment: true,
    });
    closers.push(() => temporal.close());
    return { outbox, receiver, pool, temporal, close };
  } catch (error) {
    await close();
    throw error;
  }
}
