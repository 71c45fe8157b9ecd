import { parseConfig } from '../../../dist/src/config/load.js';
import { applyConfig } from '../../../dist/src/storage/configuration.js';
import { connect } from '../../../dist/src/storage/connect.js';
import { migrate } from '../../../dist/src/storage/migrate.js';

/** An outbox with one route, so that each event is written with its delivery, and one producer of half messages. */
export async function openOutbox(databaseUrl) {
  const pool = connect(databaseUrl);
  await migrate(pool);
  const nowhere = 'http://127.0.0.1:9/';
  const { config } = parseConfig(
    JSON.stringify({
      destinations: { receiver: { type: 'http', url: nowhere } },
      routes: [{ match: 'order.*', to: ['receiver'] }],
      producers: { shop: { checkBack: { url: nowhere } } },
    }),
  );
  await applyConfig(pool, config, 'bench', 'bench');
  await pool.end();
}
