/** A lane that its owner cannot keep up with is sent by two processes, in the order of its keys, also when one of them dies. */
import { expect, test } from 'vitest';
import { hinder } from '../bench/hinder.mjs';
import { configOf } from '../deliver/stage.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
} from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { expectInOrder, keyed, settled, writeRounds } from './stage.ts';

const keys = 1_000;
const rounds = 40;

test('the owner is full: another claims with it, each key in order; killed, what it had is sent by the owner', async (context) => {
  onlyWithEverything(context, 'kills, and 40,000 events');
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 204 });
  await applyTestConfig(database, configOf(receiver.url, `${keyed}, concurrency: 400`));
  const owner = spawnRun({ databaseUrl: database.url });
  const owned = 'select 1 from outbox.lanes where owner is not null';
  await eventually(async () => expect(await database.rows(owned)).toHaveLength(1), { timeout: 30_000 });
  const release = hinder(owner.pid, 0.2);
  atEnd(release);
  const helper = spawnRun({ databaseUrl: database.url });
  await writeRounds(database.pool, { keys, rounds });
  await eventually(
    () => {
      expect(owner.stdout() + owner.stderr()).toContain('others may claim for it');
      expect(helper.stdout() + helper.stderr()).toContain('claiming for it');
    },
    { timeout: 30_000 },
  );
  const before = receiver.requests.length;
  expect(before).toBeLessThan(keys * rounds);
  // Of both, as each has batches of its own.
  const batches = 'select 1 from outbox.batches where active and open > 0';
  await eventually(async () => expect((await database.rows(batches)).length).toBeGreaterThan(1));
  await helper.kill();
  release();
  await settled(database, 120_000);
  expectInOrder(receiver, keys, rounds);
}, 240_000);
