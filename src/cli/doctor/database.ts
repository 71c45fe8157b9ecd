import { judge, postgresVersions } from '../../core/supported.ts';
import { isApplied, readSettings, type Settings } from '../../storage/configuration.ts';
import { connect, type Pool } from '../../storage/connect.ts';
import { describeDatabase } from '../../storage/databaseUrl.ts';
import { explainDatabaseError } from '../../storage/errors.ts';
import { requireSchema } from '../../storage/migrate.ts';
import {
  countDeliveries,
  countUnrouted,
  daysAhead,
  readDatabaseFacts,
  readLanes,
  readRelays,
} from '../../storage/status.ts';
import { readConfigFile } from '../configFile.ts';
import type { Output } from '../output.ts';
import { describeAge } from '../spokenTime.ts';
import { checkEncryption } from './encryption.ts';
import { fail, failedBy, ok, warn, type Finding } from './finding.ts';
import { checkDestinations, checkHalfMessages, checkLacking, checkPaused, checkUnwritten } from './held.ts';
import {
  checkClock,
  checkDeadRows,
  checkDue,
  checkLastPass,
  checkLocks,
  checkPrepared,
  checkRetention,
  checkSecrets,
  checkServers,
  checkSlots,
  checkTransactions,
} from './server.ts';
import { checkMissed, checkRowSecurity, checkSequences, checkTrigger } from './structure.ts';
import { counted } from '../../core/counted.ts';

type Check = readonly [name: string, look: (db: Pool) => Promise<Finding>];

export interface DatabaseOptions {
  readonly config?: string;
  /** From which age, milliseconds, an open transaction is worth a warning. */
  readonly transactionAge: number;
}

/** `settings` is null when the schema could not be read. */
export async function checkDatabase(
  url: string,
  { config: configOption, transactionAge }: DatabaseOptions,
  out: Output,
): Promise<{ findings: Finding[]; settings: Settings | null }> {
  const pool = connect(url, { applicationName: 'temporal-outbox-doctor', max: 2 });
  const where = describeDatabase(url);
  const explained = async ([name, look]: Check): Promise<Finding> => {
    try {
      return await look(pool);
    } catch (error) {
      return failedBy(name, explainDatabaseError(error, where));
    }
  };
  try {
    const findings = [await explained(['PostgreSQL', checkServer(where)])];
    if (findings[0]?.level === 'fail') return { findings, settings: null };
    findings.push(await explained(['schema', checkSchema]));
    if (findings[1]?.level === 'fail') return { findings, settings: null };
    const checks: Check[] = [
      ...schemaChecks,
      ['configuration', checkConfig(configOption, out)],
      ['transactions', (db) => checkTransactions(db, transactionAge)],
      ['prepared transactions', (db) => checkPrepared(db, transactionAge)],
    ];
    for (const check of checks) findings.push(await explained(check));
    return { findings, settings: await readSettings(pool) };
  } finally {
    await pool.end();
  }
}

function checkServer(where: string): Check[1] {
  return async (db) => {
    const { version, user, readOnly, standby } = await readDatabaseFacts(db);
    const found = `${version} at ${where}, as ${user}`;
    if (standby)
      return fail('PostgreSQL', `${found}: a read-only standby`, 'Point OUTBOX_DATABASE_URL at the primary.');
    return readOnly
      ? fail(
          'PostgreSQL',
          `${found}: a primary, and default_transaction_read_only is on`,
          'Take it back: alter role … (or alter database …) reset default_transaction_read_only.',
        )
      : judged(found, Number.parseInt(version, 10));
  };
}

function judged(found: string, major: number): Finding {
  const { oldest, newest } = postgresVersions;
  const verdict = judge(major, postgresVersions);
  if (verdict === 'tried') return ok('PostgreSQL', found);
  return warn(
    'PostgreSQL',
    `${found}: ${verdict}; ${oldest} to ${newest} are`.replace('too old; ', 'older than what is tried; '),
    verdict === 'too old'
      ? `Upgrade PostgreSQL: the schema uses what versions before ${oldest} do not have.`
      : 'It most likely works. An upgrade of temporal-outbox may know this version.',
  );
}

async function checkSchema(db: Pool): Promise<Finding> {
  await requireSchema(db);
  return ok('schema', 'up to date');
}

const schemaChecks: readonly Check[] = [
  ['roles', checkRoles],
  ['partitions', checkPartitions],
  ['sequences', checkSequences],
  ['trigger', checkTrigger],
  ['row security', checkRowSecurity],
  ['relays', checkRelays],
  ['lanes', checkLanes],
  ['waiting', checkWaiting],
  ['parked', checkParked],
  ['destinations', checkDestinations],
  ['outcomes', checkUnwritten],
  ['senders', checkLacking],
  ['paused workflows', checkPaused],
  ['half messages', checkHalfMessages],
  ['routing', checkRouting],
  ['missed events', checkMissed],
  ['due', checkDue],
  ['retention', checkRetention],
  ['last housekeeping', checkLastPass],
  ['secrets', checkSecrets],
  ['encryption', checkEncryption],
  ['servers', checkServers],
  ['clock', checkClock],
  ['dead rows', checkDeadRows],
  ['replication slots', checkSlots],
  ['locks', checkLocks],
];

async function checkRoles(db: Pool): Promise<Finding> {
  const { missingRoles } = await readDatabaseFacts(db);
  if (missingRoles.length === 0) return ok('roles', 'all five exist');
  return warn(
    'roles',
    `missing: ${missingRoles.join(', ')}`,
    'The migrating user may not create roles; an administrator can, then grants as in roles.sql.',
  );
}

/** A relay makes 30 days ahead, every hour. */
async function checkPartitions(db: Pool): Promise<Finding> {
  const days = await daysAhead(db);
  const found = days < 0 ? 'none for today' : `${counted(days, 'day')} ahead`;
  const hint =
    'A relay makes them; start one: temporal-outbox run, or make them now: temporal-outbox housekeeping run. Without a partition, inserts of producers fail.';
  if (days < 1) return fail('partitions', found, hint);
  return days < 7 ? warn('partitions', found, hint) : ok('partitions', found);
}

async function checkRelays(db: Pool): Promise<Finding> {
  const relays = await readRelays(db);
  if (relays.length > 0) return ok('relays', `${relays.length} alive`);
  return warn('relays', 'none alive: nothing is delivered', 'Start one: temporal-outbox run');
}

async function checkLanes(db: Pool): Promise<Finding> {
  const lanes = await readLanes(db);
  const alone = lanes
    .filter(({ relay, paused }) => relay === null && !paused)
    .map(({ destination }) => destination);
  if (alone.length === 0) return ok('lanes', `${lanes.length}, each with an owner`);
  return warn(
    'lanes',
    `nobody owns ${alone.slice(0, 5).join(', ')}${alone.length > 5 ? ` and ${alone.length - 5} more` : ''}`,
    'A relay takes them within seconds when one is alive.',
  );
}

const oldAfterMs = 60_000;

async function checkWaiting(db: Pool): Promise<Finding> {
  const lanes = await readLanes(db);
  const ages = lanes.flatMap(({ oldestPendingMs }) => (oldestPendingMs === null ? [] : [oldestPendingMs]));
  if (ages.length === 0) return ok('waiting', 'nothing is pending');
  const oldest = Math.max(...ages);
  const found = `the oldest pending delivery is from ${describeAge(oldest)} ago`;
  if (oldest < oldAfterMs) return ok('waiting', found.replace('from now ago', 'new'));
  return warn('waiting', found, 'temporal-outbox status shows where it waits.');
}

async function checkParked(db: Pool): Promise<Finding> {
  const counts = await countDeliveries(db);
  const parked = counts.reduce((sum, count) => sum + count.parked, 0);
  if (parked === 0) return ok('parked', 'no dead letters wait');
  return warn('parked', `${parked} dead letters wait for a person`, 'temporal-outbox dlq list');
}

async function checkRouting(db: Pool): Promise<Finding> {
  const unrouted = await countUnrouted(db, 3);
  if (unrouted.length === 0) return ok('routing', 'every event found a route');
  const types = unrouted.map(({ type, events }) => `${type} (${events})`).join(', ');
  return warn(
    'routing',
    `events that no route took: ${types}`,
    'Add a route for them, or stop writing them.',
  );
}

function checkConfig(option: string | undefined, out: Output): Check[1] {
  return async (db) => {
    const { configRevision } = await readSettings(db);
    const file = await readConfigFile(option, out, 'warn');
    const apply = 'temporal-outbox config apply';
    if (configRevision === 0)
      return fail(
        'configuration',
        'none is applied: nothing is routed',
        file === undefined ? 'Write an outbox.yaml.' : apply,
      );
    const revision = `revision ${configRevision}`;
    if (file === undefined) return ok('configuration', `${revision}; no file here to compare with`);
    if (await isApplied(db, file.config)) return ok('configuration', `${revision} is ${file.source.path}`);
    return warn('configuration', `${file.source.path} differs from ${revision}, which is what counts`, apply);
  };
}
