/** examples/bank at its worst: no transfer is lost, none is made twice, and every account is right to the cent. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { everything } from '../support/everything.ts';
import { applyTestConfig, createTestDatabase, eventually, startRun } from '../support/index.ts';
import { repository, startProcess, type ReceiverProcess } from './process.ts';
import { startUnreliableWire } from './unreliableWire.ts';
import { secret } from './stage.ts';

const execute = promisify(execFile);
const transfers = Number(process.env['BANK_TRANSFERS'] ?? (everything ? 20_000 : 1_500));
const kills = everything ? 8 : 1;
const example = (name: string) => join(repository, 'examples', 'bank', name);

test(`${transfers} transfers, over a wire that repeats, delays and cuts, to a receiver that is killed ${kills} times`, async () => {
  const [sender, bank] = [await createTestDatabase(), await createTestDatabase({ migrated: false })];
  await migrateInbox(bank.pool);
  await bank.pool.query(await readFile(example('bank.sql'), 'utf8'));
  const port = String(await freePort());
  const wire = await startUnreliableWire(`http://127.0.0.1:${port}`);
  const env = { BANK_URL: `${wire.url}/transfers`, BANK_SECRET: secret };
  await applyTestConfig(sender, await readFile(example('outbox.yaml'), 'utf8'), env);
  await execute(process.execPath, [example('transfers.mjs'), String(transfers)], {
    env: { ...process.env, OUTBOX_DATABASE_URL: sender.url },
  });

  const open = (): Promise<ReceiverProcess> =>
    startProcess(process.execPath, [example('receiver.mjs')], {
      BANK_DATABASE_URL: bank.url,
      BANK_SECRET: secret,
      PORT: port,
    });
  let receiver = await open();
  await startRun({ databaseUrl: sender.url, env });
  for (let killed = 1; killed <= kills; killed++) {
    const enough = (killed * transfers) / (kills + 1);
    await eventually(() => expect(wire.counts.answered).toBeGreaterThan(enough), {
      timeout: 120_000,
      interval: 2,
    });
    await receiver.kill();
    receiver = await open();
  }
  await eventually(
    async () =>
      expect(await sender.rows('select state, count(*) from outbox.deliveries group by state')).toEqual([]),
    { timeout: 120_000, interval: 200 },
  );

  expect(await sender.rows('select 1 from outbox.dead_letters')).toEqual([]);
  const wishes = await sender.rows('select * from wishes order by transfer');
  expect(wishes).toHaveLength(transfers);
  const made = await bank.rows(
    'select transfer, from_account, to_account, amount::int from ledger order by transfer, entry',
  );
  expect(made).toEqual(wishes);
  const wrong = await bank.rows(
    `select a.id, a.balance from accounts a
     where a.balance <> 1000000 + (select coalesce(sum(case when l.to_account = a.id then amount else -amount end), 0)
       from ledger l where a.id in (l.from_account, l.to_account))`,
  );
  expect(wrong).toEqual([]);
  expect(await bank.rows('select sum(balance)::int as sum from accounts')).toEqual([{ sum: 100_000_000 }]);
  expect(await bank.rows('select count(*)::int as marks from outbox_inbox.messages')).toEqual([
    { marks: transfers },
  ]);
  const { repeated, cut, duplicates } = wire.counts;
  expect(Math.min(repeated, cut)).toBeGreaterThan(0);
  expect(duplicates).toBeGreaterThan(0);
  console.log(
    `bank: ${transfers} transfers, receiver killed ${kills} times, wire ${JSON.stringify(wire.counts)}`,
  );
}, 300_000);
