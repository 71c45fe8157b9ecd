/** What a person waits for at 100,000 dead letters reads by indexes alone, whatever it is made of inside. */
import { expect, test } from 'vitest';
import { checkRedrive, type CheckedRedrive } from '../../src/core/redrive.ts';
import { listCauses } from '../../src/storage/causes.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import {
  advanceRedrive,
  commandRedrive,
  freezeRedrive,
  membersOf,
  readRedrive,
  sampleOf,
  skippedOf,
} from '../../src/storage/redrives.ts';
import { eventually, type TestDatabase } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { databaseWith, session } from '../storage/fixtures.ts';

const letters = 100_000;
const causes = 40;
/** Settings, destinations and their like are read whole. */
const scannedMost = 500;
/** A step has 500 letters, each looked at by a dozen statements, dead versions of their rows among them. */
const fetchedMost = 30_000;

test('causes, steps, progress and pages of a redrive of 100,000 letters scan no table', async (context) => {
  onlyWithEverything(context, 'volume');
  const database = await databaseWith({ billing: {} });
  await fill(database);
  const db = await session(database.url);
  await eventually(async () => {
    // A page that is in somebody's hands meanwhile is passed over by vacuum, and read for its rows.
    await database.pool.query('vacuum analyze outbox.dead_letters, outbox.deliveries, outbox.causes');
    let found: readonly { readonly open: number }[] = [];
    expect(await scanned(db, async () => void (found = await listCauses(db, {}, 100)))).toEqual([]);
    expect(found.map(({ open }) => open)).toEqual(Array(causes).fill(letters / causes));
  });
  const plans: string[] = [];
  await listCauses(planned(db, plans), {}, 100);
  expect(plans.join('\n')).toMatch(/Index Only Scan using dead_letters_open_by_cause/);

  const request = checkRedrive({ destination: 'billing', steps: [500] }, Date.now()) as CheckedRedrive;
  const id = await freezeRedrive(db, request, 'ada');
  expect(await commandRedrive(db, id, { action: 'start', commandId: 'start' }, 'sql')).toMatchObject({
    events: letters,
  });
  for (const statistics of ['as they were', 'fresh']) {
    if (statistics === 'fresh') await database.pool.query('vacuum analyze');
    for (let step = 0; step < 4; step++) {
      const what = `step ${step}, statistics ${statistics}`;
      expect(await scanned(db, () => advanceRedrive(db, id)), what).toEqual([]);
      expect(await scanned(db, () => readRedrive(db, id)), what).toEqual([]);
      // All of it is delivered: the next look counts them, and the next step is let go.
      await db.query(`delete from outbox.deliveries where state = 'pending'`);
      expect(await scanned(db, () => readRedrive(db, id)), what).toEqual([]);
      expect(await scanned(db, () => membersOf(db, id, 50_000, 100)), what).toEqual([]);
      expect(await scanned(db, () => sampleOf(db, id, 5)), what).toEqual([]);
    }
  }
  expect(await readRedrive(db, id)).toMatchObject({ acted: 4_000, done: 4_000, skipped: 0 });
  expect(await skippedOf(db, id)).toEqual([]);
});

/** Tables that were scanned, or of which many more rows were fetched than a step has, while `work` ran in a transaction of its own. */
async function scanned(db: Queryable, work: () => Promise<unknown>): Promise<string[]> {
  // A server process hands its counts on once a second at most; until then those of a transaction before are among this one's.
  await db.query('select pg_stat_force_next_flush()');
  await db.query('begin');
  try {
    await work();
    const { rows } = await db.query(
      `select format('%s: %s scanned, %s fetched', relname, seq_tup_read, idx_tup_fetch) as read from pg_stat_xact_user_tables
       where schemaname = 'outbox' and (seq_tup_read > $1 or idx_tup_fetch > $2)`,
      [scannedMost, fetchedMost],
    );
    return (rows as { read: string }[]).map(({ read }) => read);
  } finally {
    await db.query('commit');
  }
}

/** Explains each statement before it is run. */
function planned(db: Queryable, plans: string[]): Queryable {
  return {
    query: async (text: string, values?: unknown[]) => {
      const { rows } = await db.query(`explain (costs off) ${text}`, values);
      plans.push(...(rows as { 'QUERY PLAN': string }[]).map((row) => row['QUERY PLAN']));
      return db.query(text, values);
    },
  };
}

/** As they stand when workflows of 500 have parked all that they held. */
async function fill({ pool }: TestDatabase): Promise<void> {
  await pool.query(
    `insert into outbox.causes (id, destination, class, status, error)
     select lpad(n::text, 12, '0'), 'billing', 'http', 422, 'cause ' || n from generate_series(1, $1::int) n`,
    [causes],
  );
  await pool.query(
    `insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch)
     select lpad(n::text, 32, '0')::uuid, 'billing', 'deliver/' || n, 500, 0, false, 1 from generate_series(0, $1::int / 500 - 1) n`,
    [letters],
  );
  await pool.query(
    `insert into outbox.deliveries (event_id, destination, seq, state, batch_id, tries, attempts, park_no)
     select outbox.uuid7(), 'billing', n, 'parked', lpad((n / 500)::text, 32, '0')::uuid, 1, 1, 1 from generate_series(0, $1::int - 1) n`,
    [letters],
  );
  await pool.query(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries, cause, last_status, last_error)
     select d.event_id, 'order.created', 'billing', b.workflow_id, 1, 1, 'permanent', 1, 1, lpad((d.seq % $1 + 1)::text, 12, '0'), 422, repeat('x', 200)
     from outbox.deliveries d join outbox.batches b on b.id = d.batch_id order by d.seq`,
    [causes],
  );
}
