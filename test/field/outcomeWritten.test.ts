/** What was answered is written, whatever PostgreSQL says meanwhile: nothing is sent twice, nothing is parked for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { eventually, runCli } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { expectOnceEach, openField, produce, stranger, type FieldStage } from './stage.ts';

interface Trigger {
  readonly name: string;
  /** Defaults of the relay's role. */
  readonly settings?: readonly string[];
  /** Keys of the destination. */
  readonly billing?: string;
  /** Begins the trouble; answers how it ends. */
  readonly begin: (stage: FieldStage) => Promise<() => Promise<void>>;
  /** PostgreSQL's own words, as /readyz has them. */
  readonly says: RegExp;
  /** One of its kind is tried anyway. */
  readonly rare?: true;
}

/** Somebody's trigger on a table of ours, failing with a code; only for the relay, not for who sets the stage. */
function failing(table: string, code: string, message: string, event = 'insert'): Trigger['begin'] {
  return async ({ database }) => {
    await database.rows(`create function public.fail_on_purpose() returns trigger language plpgsql as $$
      begin raise exception '${message}' using errcode = '${code}'; end $$`);
    await database.rows(
      `create trigger fail_on_purpose before ${event} on outbox.${table} for each statement execute function public.fail_on_purpose()`,
    );
    return async () => void (await database.rows(`drop trigger fail_on_purpose on outbox.${table}`));
  };
}

const triggers: readonly Trigger[] = [
  {
    name: 'a table is locked and the role has a statement_timeout',
    settings: [`statement_timeout = '2s'`],
    says: /outcomes? waiting to be written .*(has not answered|canceling statement)/,
    begin: async ({ database }) => {
      const other = await stranger(database);
      await other.query('begin; lock table outbox.delivered in access exclusive mode');
      return async () => void (await other.query('rollback'));
    },
  },
  {
    name: 'somebody cancels our statements',
    says: /canceling statement due to user request/,
    rare: true,
    begin: async (stage) => {
      const { database } = stage;
      const locker = await stranger(database);
      await locker.query('begin; lock table outbox.delivered in access exclusive mode');
      const other = await stranger(database);
      const over = new AbortController();
      const cancelling = (async () => {
        while (!over.signal.aborted) {
          await other.query(
            `select pg_cancel_backend(pid) from pg_stat_activity where usename = '${stage.role}' and state = 'active'`,
          );
          await sleep(20);
        }
      })();
      return async () => {
        over.abort();
        await cancelling;
        await locker.query('rollback');
      };
    },
  },
  {
    name: 'a publication takes updates of a table without replica identity (55000)',
    says: /55000|replica identity/,
    rare: true,
    begin: async ({ database }) => {
      await database.rows('alter table outbox.deliveries replica identity nothing');
      await database.rows('create publication everything for all tables');
      return async () => void (await database.rows('drop publication everything'));
    },
  },
  {
    name: 'a grant is revoked (42501)',
    says: /permission denied/,
    rare: true,
    begin: async ({ database }) => {
      await database.rows('revoke insert on outbox.delivered from outbox_relay');
      return async () => void (await database.rows('grant insert on outbox.delivered to outbox_relay'));
    },
  },
  {
    name: 'the disk is full (53100)',
    says: /No space left on device/,
    rare: true,
    begin: failing('delivered', '53100', 'could not extend file: No space left on device'),
  },
  {
    name: 'the database is read-only (25006)',
    says: /read-only/,
    rare: true,
    begin: failing('delivered', '25006', 'cannot execute INSERT in a read-only transaction'),
  },
  {
    name: 'an internal error (XX000)',
    says: /cache lookup failed/,
    rare: true,
    begin: failing('delivered', 'XX000', 'cache lookup failed for relation 4711'),
  },
  {
    name: 'a code that nobody knows',
    says: /unheard of/,
    rare: true,
    begin: failing('delivered', 'Z9Z9Z', 'unheard of'),
  },
  {
    name: 'a trigger refuses every row, each as if it were about that row (P0001)',
    says: /not today/,
    begin: failing('delivered', 'P0001', 'not today'),
  },
  {
    name: 'a constraint is violated by every row (23514)',
    says: /violates/,
    rare: true,
    begin: failing('delivered', '23514', 'new row violates check constraint'),
  },
  {
    name: 'what was acknowledged cannot be removed (58030)',
    says: /could not read block/,
    rare: true,
    begin: failing('deliveries', '58030', 'could not read block 7', 'delete'),
  },
  {
    name: 'serialization fails for everybody (40001)',
    says: /could not serialize/,
    rare: true,
    begin: failing('delivered', '40001', 'could not serialize access'),
  },
  {
    name: 'the whole database is read-only by default, and connections end',
    says: /read-only/,
    begin: async ({ database, role }) => {
      const set = async (value: string): Promise<void> => {
        await database.rows(
          `do $$ begin execute format('alter database %I set default_transaction_read_only = ${value}', current_database()); end $$`,
        );
        await terminate(database, role);
      };
      await set('on');
      return () => set('off');
    },
  },
  {
    name: 'our connections are ended again and again, and one table is locked',
    says: /outcomes? waiting to be written|terminat|cannot use PostgreSQL/i,
    rare: true,
    begin: async ({ database, role }) => {
      const locker = await stranger(database);
      await locker.query('begin; lock table outbox.delivered in access exclusive mode');
      const over = new AbortController();
      const ending = (async () => {
        for (; !over.signal.aborted; await sleep(300)) await terminate(database, role);
      })();
      return async () => {
        over.abort();
        await ending;
        await locker.query('rollback');
      };
    },
  },
  {
    name: 'the role has no connection left (53300)',
    says: /too many connections/,
    rare: true,
    begin: async ({ database, role }) => {
      await database.rows(`alter role ${role} connection limit 0`);
      await terminate(database, role);
      return async () => void (await database.rows(`alter role ${role} connection limit -1`));
    },
  },
];

async function terminate(database: FieldStage['database'], role: string): Promise<void> {
  await database.rows('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role]);
}

/** Trouble for so long, while events are written; red meanwhile, green afterwards, each event sent once. */
async function weather({ name, settings, billing, begin, says }: Trigger, forMs: number, perSecond: number) {
  const stage = await openField(settings, billing);
  const { readiness, database } = stage;
  const before = await produce(database, perSecond, 500);
  await expectOnceEach(stage, before);
  const producing = produce(database, perSecond, forMs);
  await sleep(Math.min(forMs / 4, 500));
  const end = await begin(stage);
  const reasons: string[] = [];
  await eventually(
    async () => {
      const { ok, text } = await readiness();
      if (!ok) reasons.push(text);
      expect(reasons.join('\n'), name).toMatch(says);
    },
    { timeout: Math.max(forMs, 15_000) },
  );
  const ids = await producing;
  await end();
  await expectOnceEach(stage, [...before, ...ids]);
  await eventually(async () => expect(await readiness()).toMatchObject({ ok: true }), { timeout: 20_000 });
}

describe('each event is sent once and delivered, none is parked, /readyz says why meanwhile', () => {
  test.for(triggers.filter(({ rare }) => rare !== true))('while $name', async (trigger) => {
    await weather(trigger, 4_000, 20);
  });
});

describe('the same for a minute at 50 events a second, a database and a process for each', () => {
  // They wait most of that minute.
  const atOnce = 5;
  const groups = triggers.flatMap((_, at) => (at % atOnce === 0 ? [triggers.slice(at, at + atOnce)] : []));
  const named = groups.map((group) => ({ group, names: group.map(({ name }) => name).join(' · ') }));
  test.for(named)('while $names', { timeout: 240_000 }, async ({ group }, context) => {
    onlyWithEverything(context);
    await Promise.all(group.map((trigger) => weather(trigger, 60_000, 50)));
  });
});

test(
  'an answer that PostgreSQL does not take outlasts the time limit of its activity',
  { timeout: 200_000 },
  async (context) => {
    onlyWithEverything(context);
    const stage = await openField([], 'timeout: 1s');
    const end = await failing('delivered', '53100', 'No space left on device')(stage);
    const ids = await produce(stage.database, 10, 2_000);
    // The first attempt's local activity has 5 + 1 + 30 s.
    await sleep(90_000);
    await end();
    await expectOnceEach(stage, ids);
  },
);

test('what waits is told by status, status --check, doctor and the metrics of another process', async () => {
  const stage = await openField();
  const { database, running } = stage;
  const end = await failing('delivered', '53100', 'No space left on device')(stage);
  const ids = await produce(database, 10, 1_000);
  const asked = { databaseUrl: database.url };
  await eventually(
    async () => {
      const shown = await runCli(['status', '--check'], asked);
      expect(shown.code).toBe(1);
      expect(shown.stdout).toContain('No space left on device');
    },
    { timeout: 20_000 },
  );
  expect((await runCli(['status'], asked)).stdout).toContain('No space left on device');
  expect((await runCli(['doctor', '--json'], asked)).stdout).toContain('No space left on device');
  const metrics = await (await fetch(`${running.endpoints['metrics']}/metrics`)).text();
  expect(metrics).toMatch(/^outbox_unwritten_outcomes [1-9]/m);
  expect(running.logged.filter(({ level }) => level === 'warn').map(({ message }) => message)).toContain(
    'PostgreSQL does not take what was answered: kept here and tried again, nothing is sent twice',
  );
  await end();
  await expectOnceEach(stage, ids);
  await eventually(async () => expect((await runCli(['status', '--check'], asked)).code).toBe(0), {
    timeout: 20_000,
  });
});

test('a row whose outcome cannot be written stands alone and says why; the others are delivered', async () => {
  const stage = await openField();
  const { database, receiver } = stage;
  await database.rows(`create function public.refuse_one() returns trigger language plpgsql as $$
    begin
      if exists (select from outbox.events where id = new.event_id and payload ? 'odd') then
        raise exception 'odd rows are not for this table' using errcode = '23514';
      end if;
      return new;
    end $$`);
  await database.rows(
    'create trigger refuse_one before insert on outbox.delivered for each row execute function public.refuse_one()',
  );
  const rows = await database.rows<{ id: string; odd: boolean }>(
    `insert into outbox.events (type, payload)
     select 'order.created', case when n = 7 then '{"odd": true}'::jsonb else '{}' end from generate_series(1, 40) n
     returning id, payload ? 'odd' as odd`,
  );
  await eventually(
    async () => {
      expect(await database.rows('select reason, last_error from outbox.dead_letters')).toMatchObject([
        {
          reason: 'unwritten',
          last_error: expect.stringContaining('odd rows are not for this table') as string,
        },
      ]);
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBe(39);
    },
    { timeout: 30_000 },
  );
  expect(rows.map(({ id }) => receiver.of(id).length)).toEqual(rows.map(() => 1));
});

test('sequences behind their tables hold nothing up for good, and nothing is poison', async () => {
  const stage = await openField([], 'retry: { initialInterval: 200ms, maximumAttempts: 2 }');
  const { database, receiver } = stage;
  await database.rows(
    `insert into outbox.audit (via, action, outcome, message) select 'test', 'test', 'done', '' from generate_series(1, 20)`,
  );
  await database.rows(`select setval(pg_get_serial_sequence('outbox.audit', 'id'), 1, false)`);
  receiver.answer(503);
  const ids = (
    await database.rows<{ id: string }>(
      `insert into outbox.events (type, payload) select 'order.created', '{}' from generate_series(1, 30) returning id`,
    )
  ).map(({ id }) => id);
  await eventually(
    async () =>
      expect(await database.rows(`select state from outbox.circuits`)).toMatchObject([{ state: 'open' }]),
    { timeout: 60_000 },
  );
  receiver.answer(204);
  await eventually(
    async () => {
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBe(ids.length);
    },
    { timeout: 60_000 },
  );
  expect(await database.rows('select reason from outbox.dead_letters')).toEqual([]);
});
