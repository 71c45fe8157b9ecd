/** What in PostgreSQL itself makes a queue slow or a disk full, and whether housekeeping keeps up. */
import type { HousekeepingReport } from '../../housekeeping/pass.ts';
import { passOverdueMs } from '../../core/watch.ts';
import { withOwnTypes } from '../../destination/registry.ts';
import { problemOf } from '../../destination/senders.ts';
import { readDestinations } from '../../storage/configuration.ts';
import type { Queryable } from '../../storage/connect.ts';
import {
  clockAheadMs,
  idleSlots,
  oldestTransaction,
  preparedTransactions,
  readLockTable,
  tablesFullOfDeadRows,
  type LockTable,
} from '../../storage/health.ts';
import { partitionsPastRetention, readLag, readLatestPass } from '../../storage/housekeeping.ts';
import { readDatabaseStanding } from '../../storage/standing.ts';
import { ownDestinationTypes } from '../destinationTypes.ts';
import { describeAge } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { inspectDestinations } from './destinations.ts';
import { firstThree, ok, warn, type Finding } from './finding.ts';
import { counted } from '../../core/counted.ts';

export async function checkTransactions(db: Queryable, oldAfterMs: number): Promise<Finding> {
  const check = 'transactions';
  const oldest = await oldestTransaction(db);
  if (oldest === undefined) return ok(check, 'none is open that holds dead rows');
  const { pid, application, user, state, ageMs } = oldest;
  const who = `pid ${pid}, ${printable(application) || 'no application name'}, user ${printable(user)}`;
  if (ageMs === null)
    return ok(check, `${who} has one open; its age is hidden (grant pg_read_all_stats to see it)`);
  if (ageMs < oldAfterMs)
    return ok(check, `the oldest is ${describeAge(ageMs)} old`.replace('is now old', 'is new'));
  return warn(
    check,
    `${who} has one open for ${describeAge(ageMs)}, ${state ?? 'state unknown'}: dead rows cannot be removed`,
    `Have it end, or end it: select pg_terminate_backend(${pid}). Against the next one: idle_in_transaction_session_timeout.`,
  );
}

export async function checkPrepared(db: Queryable, oldAfterMs: number): Promise<Finding> {
  const check = 'prepared transactions';
  const old = (await preparedTransactions(db)).filter(({ ageMs }) => ageMs >= oldAfterMs);
  const [oldest] = old;
  if (oldest === undefined) return ok(check, 'none is forgotten');
  const gid = printable(oldest.gid);
  return warn(
    check,
    `${old.length}, the oldest ${gid} of ${printable(oldest.owner)} for ${describeAge(oldest.ageMs)}: dead rows cannot be removed`,
    `Ask its transaction manager, then: commit prepared '${gid}' or rollback prepared '${gid}'.`,
  );
}

export async function checkSlots(db: Queryable): Promise<Finding> {
  const check = 'replication slots';
  const idle = await idleSlots(db);
  const [worst] = idle;
  if (worst === undefined) return ok(check, 'none is idle');
  const kept =
    worst.retainedBytes === null ? 'no log' : `${(worst.retainedBytes / 2 ** 20).toFixed(0)} MiB of log`;
  return warn(
    check,
    `${idle.length} that nobody reads; ${printable(worst.name)} keeps ${kept}`,
    `Where its reader is gone for good: select pg_drop_replication_slot('${printable(worst.name)}'). Log kept for it fills the disk.`,
  );
}

/** Others lock too, and a table that is nearly full fails whoever comes last. */
const lockShareMost = 0.5;
/** Where plans name their days: locks of a session at most, and statements over all days that may run at one moment (housekeeping, a page, a command). */
const locksOfSession = 60;
const overAllDays = 4;

export async function checkLocks(db: Queryable): Promise<Finding> {
  return judgeLocks(await readLockTable(db));
}

/** PostgreSQL says "out of shared memory" to whoever takes the last lock, a producer as well as us. */
export function judgeLocks({
  capacity,
  perTransaction,
  table,
  partitions,
  grown,
  locks,
  pruned,
  sessions,
}: LockTable): Finding {
  const check = 'locks';
  const needed = pruned ? locks * overAllDays + locksOfSession * sessions : locks * sessions;
  const days =
    grown > partitions
      ? `${grown} days of ${table}, as retention has it (now ${partitions}),`
      : `${partitions} days of ${table}`;
  const statement = pruned ? 'for a statement over all of them' : 'a statement';
  const found = `${days} are ${locks} locks ${statement}; ${sessions} sessions may take ${needed} of the ${capacity} that the server has room for`;
  if (needed <= capacity * lockShareMost) return ok(check, found);
  const enough = Math.ceil((perTransaction * needed) / (capacity * lockShareMost));
  return warn(
    check,
    found,
    `Set max_locks_per_transaction to ${enough} or more (now ${perTransaction}; PostgreSQL restarts for it), or keep fewer days (retention), or open fewer connections. ` +
      'At its end PostgreSQL refuses statements of everybody: out of shared memory.',
  );
}

const deadRowsMany = 50_000;

export async function checkDeadRows(db: Queryable): Promise<Finding> {
  const check = 'dead rows';
  const full = await tablesFullOfDeadRows(db, deadRowsMany);
  if (full.length === 0) return ok(check, 'are removed in time');
  const tables = full.map(({ table, live, dead }) => `${table} ${dead} (${live} live)`).join(', ');
  return warn(
    check,
    `more than live ones: ${tables}`,
    'Something keeps vacuum from removing them (transactions, slots above), or it is off. Then: vacuum (analyze) on these tables.',
  );
}

export async function checkRetention(db: Queryable): Promise<Finding> {
  const check = 'retention';
  const past = await partitionsPastRetention(db);
  const [oldest] = past;
  if (oldest === undefined) return ok(check, 'no day is past it');
  const { finishedAt, report } = await readLatestPass<HousekeepingReport>(db);
  const found = `${counted(past.length, 'day')} past it, the oldest ${oldest.name}`;
  const waiting = report?.waiting ?? [];
  const recent = finishedAt !== null && Date.now() - Date.parse(finishedAt) < passOverdueMs;
  if (recent && waiting.length === 0) return ok(check, `${found}; the next pass drops them`);
  const why = waiting[0] === undefined ? 'no pass came by lately' : `${waiting[0].name}: ${waiting[0].why}`;
  return warn(
    check,
    `${found} (${why})`,
    'temporal-outbox housekeeping run; an open transaction is named above. Under a user who is not the owner of the tables a busy ' +
      'producer can be in the way for long: run that command as the owner.',
  );
}

export async function checkLastPass(db: Queryable): Promise<Finding> {
  const check = 'last housekeeping';
  const { housekeepingAgeSeconds } = await readDatabaseStanding(db);
  const ageMs = housekeepingAgeSeconds * 1000;
  if (ageMs < passOverdueMs) return ok(check, 'no pass is missing');
  const { step } = await readLatestPass(db);
  const stuck = step === null ? '' : `; the one that began last is at: ${step}`;
  return warn(
    check,
    `no pass has come to its end for ${describeAge(ageMs)}${stuck}`,
    'Is its schedule paused, does a worker run, and does Temporal answer (below)? temporal-outbox housekeeping run makes one now.',
  );
}

const dueLateMs = 60_000;

export async function checkDue(db: Queryable): Promise<Finding> {
  const check = 'due';
  const { staleClaims, oldestDueMs } = await readLag(db);
  const status = 'temporal-outbox status shows where; workers, lanes and Temporal below and above say why.';
  if (staleClaims > 0)
    return warn(check, `${counted(staleClaims, 'claim')} stuck in the first attempt`, status);
  if (oldestDueMs === null || oldestDueMs < dueLateMs) return ok(check, 'nothing waits beyond its time');
  return warn(check, `the oldest that should have been sent is ${describeAge(oldestDueMs)} late`, status);
}

const clockOffMs = 2_000;

export async function checkClock(db: Queryable): Promise<Finding> {
  const check = 'clock';
  const { aheadMs, roundTripMs } = await clockAheadMs(db);
  const off = Math.max(Math.abs(aheadMs) - roundTripMs / 2, 0);
  if (off < clockOffMs) return ok(check, 'this machine and PostgreSQL agree');
  return warn(
    check,
    `this machine is ${describeAge(off)} ${aheadMs > 0 ? 'ahead of' : 'behind'} PostgreSQL`,
    'Synchronise both (NTP). Receivers refuse signatures whose webhook-timestamp is minutes off; due times go by PostgreSQL’s clock.',
  );
}

export async function checkSecrets(db: Queryable): Promise<Finding> {
  const check = 'secrets';
  const { destinations } = await readDestinations(db);
  const types = withOwnTypes(await ownDestinationTypes());
  const problems = destinations.flatMap((config) => {
    const problem = problemOf(config, { env: process.env }, types);
    return problem === null ? [] : [`${config.name}: ${problem.message}`];
  });
  if (problems.length === 0) return ok(check, 'every destination has what it needs in this environment');
  return warn(
    check,
    `missing in this environment: ${firstThree(problems)}`,
    'run and worker refuse to start without them; where they run elsewhere, look there.',
  );
}

/** Of those whose server can be asked without an event. */
export async function checkServers(db: Queryable): Promise<Finding> {
  const check = 'servers';
  const { destinations } = await readDestinations(db);
  const found = await inspectDestinations(
    destinations,
    withOwnTypes(await ownDestinationTypes()),
    process.env,
  );
  const wrong = found.filter(({ level }) => level !== 'ok');
  const [first] = wrong;
  if (first === undefined)
    return ok(
      check,
      found.length === 0
        ? 'none can be asked without an event'
        : `${found.length} answers, all as configured`,
    );
  return warn(
    check,
    firstThree(wrong.map(({ destination, found: what }) => `${destination}: ${printable(what)}`)),
    first.hint ?? 'temporal-outbox config check --online says more.',
  );
}
