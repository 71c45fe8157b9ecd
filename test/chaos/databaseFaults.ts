/** What an administrator of the database does to those who work with it, without meaning harm. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../../src/storage/connect.ts';
import { none, repeatsOfOurs } from './bounds.ts';
import type { Fault } from './faults.ts';
import { ourLogin } from './login.ts';
import type { Random } from './random.ts';
import { destinations, type World } from './world.ts';

/** A statement of ours that is under way at the moment, any; of several the one that chance has first. */
const cancelOne = `
  select pg_cancel_backend(pid) from (
    select pid from pg_stat_activity where usename = $1 and state = 'active' and pid <> pg_backend_pid()
    order by random() limit 1) one`;

/** Cancels statements of ours, some ten a second where there are so many. A statement that failed is made again: nobody is sent anything twice. */
export function canceller({ databases }: World, random: Random, forMs: number): Fault {
  return {
    name: 'statements cancelled',
    thing: cancelOne,
    forMs,
    allowed: none,
    begin: async () => {
      for (const endsAt = Date.now() + forMs; Date.now() < endsAt; await sleep(random.between(20, 150)))
        await quietly(databases.outbox, cancelOne, [ourLogin]);
    },
  };
}

const limits = [
  `statement_timeout = '100ms'`,
  `lock_timeout = '20ms'`,
  `idle_in_transaction_session_timeout = '50ms'`,
  `default_transaction_isolation = 'repeatable read'`,
] as const;

/** A limit on our login. It counts for new sessions, so the ones that are open are ended at its beginning, and at its end. */
export function roleLimit({ databases }: World, random: Random, forMs: number): Fault {
  const { outbox } = databases;
  const limit = random.pick([...limits, 'connection limit'] as const);
  const set =
    limit === 'connection limit'
      ? `alter role ${ourLogin} connection limit 4`
      : `alter role ${ourLogin} set ${limit}`;
  const unset =
    limit === 'connection limit'
      ? `alter role ${ourLogin} connection limit -1`
      : `alter role ${ourLogin} reset all`;
  return {
    name: `our login: ${limit}`,
    thing: limits,
    forMs,
    allowed: repeatsOfOurs(destinations.length),
    begin: async () => {
      await persistently(outbox, set);
      await quietly(outbox, endSessions, [ourLogin]);
      await sleep(forMs);
      await persistently(outbox, unset);
      await quietly(outbox, endSessions, [ourLogin]);
    },
  };
}

const endSessions = 'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1';

/** The server may be away at the moment: then nothing is cancelled. */
async function quietly(pool: Pool, sql: string, values: unknown[]): Promise<void> {
  await pool.query(sql, values).catch(() => undefined);
}

/** What was set has to be taken back. */
async function persistently(pool: Pool, sql: string): Promise<void> {
  for (;;) {
    try {
      await pool.query(sql);
      return;
    } catch {
      await sleep(250);
    }
  }
}
