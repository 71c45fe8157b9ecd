import { DefaultLogger, Runtime } from '@temporalio/worker';
import { keepHeapSmall } from '../../../dist/src/cli/smallHeap.js';
import { parseConfig } from '../../../dist/src/config/load.js';
import { run } from '../../../dist/src/index.js';
import { applyConfig } from '../../../dist/src/storage/configuration.js';
import { connect } from '../../../dist/src/storage/connect.js';
import { migrate } from '../../../dist/src/storage/migrate.js';
import { payloadSql, play } from './role.mjs';

// The SDK would report each change of the worker's state.
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

// As the command `run` does.
keepHeapSmall();

let pool;
let settings;
let running;
const complain = (fields, message) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
const log = { debug() {}, info() {}, warn: complain, error: complain };

await play({
  prepare: async (given) => {
    settings = given;
    process.env.BENCH_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    pool = connect(given.databaseUrl);
    await migrate(pool);
    const { config } = parseConfig(
      JSON.stringify({
        name: given.databaseUrl.split('/').pop().replace('_', '-'),
        destinations: {
          receiver: {
            ...(given.destination ?? { type: 'http', url: given.receiverUrl }),
            batch: {
              maximum: given.batchMaximum,
              inFlight: given.batchMaximum === 1 ? 16 : Number(process.env.BENCH_IN_FLIGHT ?? 2),
            },
            ...(given.signed
              ? { signing: { scheme: 'standard-webhooks', secrets: ['env:BENCH_SECRET'] } }
              : {}),
          },
          ...Object.fromEntries(
            (given.destinations ?? []).map(([name, url]) => [name, { type: 'http', url }]),
          ),
        },
        routes: [
          { match: 'order.*', to: ['receiver'] },
          ...(given.destinations ?? []).map(([name]) => ({ match: `${name}.x`, to: [name] })),
        ],
      }),
    );
    await applyConfig(pool, config, 'bench', 'bench');
  },
  fill: (events) =>
    pool.query(
      `insert into outbox.events (type, key, payload) select 'order.created', 'k' || i, ${payloadSql} from generate_series(1, $1::int) i`,
      [events],
    ),
  insert: (payload) =>
    pool.query(`insert into outbox.events (type, payload) values ('order.created', $1)`, [payload]),
  begin: async () => {
    running = await run({
      databaseUrl: settings.databaseUrl,
      temporal: { address: settings.temporalAddress },
      log,
    });
  },
  left: async () => (await pool.query('select count(*)::int as n from outbox.deliveries')).rows[0].n,
  stop: async () => {
    await running?.stop();
    await pool.end();
  },
});
