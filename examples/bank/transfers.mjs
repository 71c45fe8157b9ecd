/** Somebody who wants money moved: each wish is a row of their own and an event, in one transaction. Every tenth is taken back. */
import pg from 'pg';
import { enqueue } from 'temporal-outbox';

const count = Number(process.argv[2] ?? 1_000);
const client = new pg.Client(process.env.OUTBOX_DATABASE_URL);
await client.connect();
await client.query(`create table if not exists wishes (
  transfer integer primary key, from_account integer not null, to_account integer not null, amount integer not null)`);

const whole = (max) => Math.floor(Math.random() * max);
for (let first = 1, round = 1; first <= count; round++) {
  const wishes = Array.from({ length: Math.min(500, count - first + 1) }, (_, index) => {
    const from = 1 + whole(100);
    return { transfer: first + index, from, to: 1 + ((from + whole(99)) % 100), amount: 1 + whole(1_000) };
  });
  await client.query('begin');
  await client.query(
    `insert into wishes select transfer, "from", "to", amount
     from jsonb_to_recordset($1) as w(transfer int, "from" int, "to" int, amount int)`,
    [JSON.stringify(wishes)],
  );
  await enqueue(
    client,
    wishes.map((wish) => ({ type: 'transfer.requested', key: `${wish.from}`, payload: wish })),
  );
  const changedTheirMind = round % 10 === 1;
  await client.query(changedTheirMind ? 'rollback' : 'commit');
  if (!changedTheirMind) first += wishes.length;
}
await client.end();
