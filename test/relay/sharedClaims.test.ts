/** What a relay of many lanes claims, one round after another. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { Lanes } from '../../src/relay/lanes.ts';
import { SharedClaims } from '../../src/relay/sharedClaims.ts';
import type { Starter } from '../../src/relay/starter.ts';
import { Handover } from '../../src/worker/handover.ts';
import { atEnd } from '../support/index.ts';
import { databaseWith } from '../storage/fixtures.ts';

test('with more waiting than a batch has room for nothing is passed over: each round goes on where the one before ended', async () => {
  const names = Array.from({ length: 20 }, (_, n) => `d${n}`);
  const { pool } = await databaseWith(
    Object.fromEntries(names.map((name) => [name, {}])),
    `[${names.map((name) => `{ match: '${name}', to: [${name}] }`).join(', ')}]`,
  );
  const relay = randomUUID();
  const lanes = new Lanes(pool, relay, 'test', 60_000);
  await lanes.hold([]);
  const handover = new Handover();
  handover.intakes.feedBy({ serves: () => true, opened: () => undefined });
  const notHeldUp = { isHeldUp: () => false } as unknown as Starter;
  const claims = new SharedClaims(pool, relay, lanes, notHeldUp, handover, () => undefined);
  await pool.query(`insert into outbox.events (type, payload) values ('d0', '{}')`);
  const { batch } = await claims.round(performance.now(), true);
  if (batch?.opened == null) throw new Error('nothing was claimed');
  const intake = handover.intakes.open(pool, batch.opened.batch);
  atEnd(() => intake.leave());
  // What the first sweep found is claimed: these rounds find that out, and what lies behind the mark no longer has a turn of its own.
  for (let round = 0; round < 2; round++) await claims.round(performance.now(), true);
  await pool.query(
    `insert into outbox.events (type, payload) select 'd' || i % 20, '{}' from generate_series(1, 1500) i`,
  );
  const seqs: number[] = [];
  for (let round = 0; round < 3; round++) {
    await claims.round(performance.now(), true);
    while (intake.holds) seqs.push(...(await intake.next(() => true)).map(({ seq }) => Number(seq)));
  }
  expect(seqs).toHaveLength(1500);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
});
