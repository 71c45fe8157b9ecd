import { randomUUID } from 'node:crypto';
import { connect } from '../../dist/src/storage/connect.js';
import { claimBatches, holdLanes } from '../../dist/src/storage/claims.js';
import { contestants } from './contestants/index.mjs';
import { quantile } from './figures.mjs';

const fillAtOnce = 100_000;
const few = 100_000;
const claims = 400;
const warmUp = 50;

/**
 * One claim of a hundred rows, milliseconds with its round trip, where few rows wait and where `waiting` do. Each goes on behind the one before
 * it, as a relay's does, and is rolled back: what is measured is the claim, not what a worker makes of it.
 */
export async function measureClaims(stage, { waiting, say }) {
  const databaseUrl = await stage.newDatabase();
  const settings = { ...contestants[0].settings, batchMaximum: 100 };
  const filler = await stage.launch(
    { ...contestants[0], settings },
    { databaseUrl, receiverUrl: stage.receiverUrl },
  );
  const pool = connect(databaseUrl);
  const relay = randomUUID();
  await holdLanes(pool, relay, 'bench', 3_600_000);
  const rows = [];
  let filled = 0;
  for (const upTo of [few, waiting]) {
    while (filled < upTo) {
      await filler.tell({ fill: Math.min(fillAtOnce, upTo - filled) }, 'filled');
      filled += fillAtOnce;
      say(`claims: ${Math.min(filled, upTo)} rows wait`);
    }
    await pool.query('checkpoint');
    const times = await timesOf(pool, relay);
    rows.push({
      'rows waiting': upTo,
      claims: times.length,
      'p50 ms': quantile(times, 0.5).toFixed(2),
      'p99 ms': quantile(times, 0.99).toFixed(2),
      'slowest ms': Math.max(...times).toFixed(2),
    });
    say(`claims: ${JSON.stringify(rows.at(-1))}`);
  }
  await pool.end();
  await filler.end();
  return rows;
}

async function timesOf(pool, relay) {
  const client = await pool.connect();
  const times = [];
  let after = '0';
  for (let n = 0; n < warmUp + claims; n++) {
    await client.query('begin');
    const began = performance.now();
    const [batch] = await claimBatches(client, relay, ['receiver'], [after], 60_000);
    const took = performance.now() - began;
    await client.query('rollback');
    if (batch === undefined || batch.size !== 100)
      throw new Error(`a claim got ${batch?.size ?? 'no'} rows in place of 100`);
    after = batch.lastSeq;
    if (n >= warmUp) times.push(took);
  }
  client.release();
  return times;
}
