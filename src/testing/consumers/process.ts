/** A consumer in a process of its own, to be killed: `node process.js '<JSON>'`. Says a line when it is ready; SIGTERM stops it. */
import pg from 'pg';
import type { ConsumerOptions } from '../../consumer/index.ts';
import { startTestConsumer } from './handler.ts';

const { databaseUrl, ...options } = JSON.parse(process.argv[2] ?? '{}') as { databaseUrl: string } & Omit<
  ConsumerOptions,
  'pool' | 'handler'
>;
const [pool, aside] = [12, 2].map(
  (max) => new pg.Pool({ connectionString: databaseUrl, max, connectionTimeoutMillis: 10_000 }),
) as [pg.Pool, pg.Pool];
aside.on('error', () => undefined);
const consumer = startTestConsumer(pool, aside, options);
process.on('SIGTERM', () => {
  void consumer.stop().then(() => process.exit(0));
});
await consumer.ready;
process.stdout.write('ready\n');
