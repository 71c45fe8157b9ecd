/**
 * Starts what the tests share, once for the whole run. OUTBOX_TEST_DATABASE_URL (a superuser) and TEMPORAL_ADDRESS name
 * servers to use in place of the embedded ones; the Temporal one needs the three search attributes.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startPostgres, startTemporal } from '../../src/embedded/index.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { everything, partitionDaysAhead } from './everything.ts';
import { urlOfDatabase } from './servers.ts';

type Stop = () => Promise<void>;

const onProgress = (line: string): void => void process.stderr.write(`${line}\n`);

export default async function setup(project: TestProject): Promise<Stop> {
  const starts = await Promise.allSettled([postgres(), temporal()]);
  const stops = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value.stop] : []));
  const stop = async (): Promise<void> => void (await Promise.all(stops.map((each) => each())));
  const [database, workflows] = starts;
  if (database.status === 'rejected' || workflows.status === 'rejected') {
    await stop();
    throw starts.find((start) => start.status === 'rejected')?.reason;
  }
  project.provide('servers', { ...database.value.facts, ...workflows.value.facts });
  return stop;
}

async function postgres() {
  const given = process.env['OUTBOX_TEST_DATABASE_URL'];
  // Nothing here must survive a power failure; 300 connections as in docker-compose.yml; a forgotten PREPARE TRANSACTION is a test.
  const settings = {
    fsync: 'off',
    full_page_writes: 'off',
    max_connections: '300',
    max_prepared_transactions: '10',
  };
  const server =
    given === undefined ? await startPostgres({ settings, onProgress, ...(await inMemory()) }) : undefined;
  const databaseUrl = given ?? server?.url ?? '';
  const template = `outbox_test_${randomBytes(4).toString('hex')}`;
  await onServer(databaseUrl, `create database ${template}`);
  const pool = connect(urlOfDatabase(databaseUrl, template));
  await migrate(pool)
    .then(() => (everything ? undefined : lookLessFarAhead(pool)))
    .finally(() => pool.end());
  const stop: Stop = async () => {
    // With the embedded server its data goes too.
    if (server === undefined) await onServer(databaseUrl, `drop database if exists ${template}`);
    await server?.stop();
  };
  return { facts: { databaseUrl, template }, stop };
}

/**
 * Ten days of partitions in place of 38, now and whenever more are made. They cost a new connection 30 ms of a processor,
 * mostly planning, and a new database 300 files; here there are thousands of the one, hundreds of the other.
 */
async function lookLessFarAhead(pool: Pool): Promise<void> {
  const [back, ahead] = [1, partitionDaysAhead];
  await pool.query(`do $$
    declare v_definition text; v_partition regclass;
    begin
      v_definition := pg_get_functiondef('outbox.make_partitions'::regproc);
      v_definition := replace(replace(v_definition, 'p_days_back integer DEFAULT 7', 'p_days_back integer DEFAULT ${back}'),
        'p_days_ahead integer DEFAULT 30', 'p_days_ahead integer DEFAULT ${ahead}');
      assert v_definition like '%DEFAULT ${back}, %DEFAULT ${ahead})%';
      execute v_definition;
      for v_partition in
        select inhrelid::regclass from pg_inherits join pg_class c on c.oid = inhrelid
        where relnamespace = 'outbox'::regnamespace and relkind = 'r' and relname ~ '_[0-9]{8}$'
          and to_date(right(relname, 8), 'YYYYMMDD') not between (now() at time zone 'UTC')::date - ${back} and (now() at time zone 'UTC')::date + ${ahead}
      loop
        execute format('drop table %s', v_partition);
      end loop;
    end $$`);
}

/**
 * A database for each test is 300 files made and removed: on ext4 that takes 870 ms of a processor, in memory 65 to 120.
 * Where there is no such place, or little room as in a container, the disk does.
 */
async function inMemory(): Promise<{ temporaryIn: string } | undefined> {
  const place = '/dev/shm';
  try {
    await access(place, constants.W_OK);
    const { bavail, bsize } = await statfs(place);
    return bavail * bsize < 4 * 2 ** 30 ? undefined : { temporaryIn: place };
  } catch {
    return undefined;
  }
}

async function temporal() {
  const given = process.env['TEMPORAL_ADDRESS'];
  const temporalNamespace = process.env['TEMPORAL_NAMESPACE'] ?? 'default';
  if (given !== undefined) {
    const temporalUi = process.env['TEMPORAL_UI_URL'] ?? null;
    return {
      facts: { temporalAddress: given, temporalNamespace, temporalUi },
      stop: () => Promise.resolve(),
    };
  }
  const server = await startTemporal({
    onProgress,
    namespace: temporalNamespace,
    searchAttributes: { OutboxState: 'Keyword', OutboxDestination: 'Keyword', OutboxEventType: 'Keyword' },
    dynamicConfig: generous,
  });
  const facts = { temporalAddress: server.address, temporalNamespace, temporalUi: server.uiUrl };
  return { facts, stop: () => server.stop() };
}

/** Every test file polls and lists on one namespace: the limits meant for tenants would slow them at random. */
const generous = {
  'frontend.namespaceRPS': 20_000,
  'frontend.namespaceRPS.visibility': 2_000,
  'frontend.namespaceCount': 20_000,
  'frontend.namespaceBurstRatio': 2,
};

async function onServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
