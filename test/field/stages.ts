/** Databases for the main paths, each with login roles that are members of one group of ours and nothing else. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/embedded/ports.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { atEnd, createTestDatabase, eventually, requires, uniqueName } from '../support/index.ts';
import { startOlderPostgres, startPostgresOf } from '../support/olderPostgres.ts';
import type { Stage } from './mainPaths.ts';

const groups = {
  producer: 'outbox_producer',
  relay: 'outbox_relay',
  operator: 'outbox_operator',
  consumer: 'outbox_consumer',
} as const;
type Role = keyof typeof groups;

export interface DirectStage extends Stage {
  readonly logins: Readonly<Record<Role, string>>;
  readonly ownerUrl: string;
}

/** On the shared server. `prepare` is SQL of the owner's, before anything connects; `{login}` stands for each login role in turn. */
export async function directStage(prepare: readonly string[] = []): Promise<DirectStage> {
  const database = await createTestDatabase();
  return withLogins(database.name, database.url, database.pool, prepare);
}

/** On the oldest PostgreSQL that we support and the machine has, or on that of a major version. */
export async function olderStage(major?: number): Promise<DirectStage> {
  const { pool } = await (major === undefined ? startOlderPostgres() : startPostgresOf(major));
  await migrate(pool);
  const name = uniqueName();
  await pool.query('update outbox.settings set name = $1', [name]);
  const { rows } = await pool.query(`select current_setting('port') as port`);
  const { port } = rows[0] as { port: string };
  return withLogins(name, `postgresql://postgres@127.0.0.1:${port}/postgres`, pool, []);
}

async function withLogins(
  name: string,
  ownerUrl: string,
  owner: Pool,
  prepare: readonly string[],
): Promise<DirectStage> {
  await migrateInbox(owner);
  const tag = uniqueName('m').replaceAll('-', '_');
  const logins = Object.fromEntries(Object.keys(groups).map((role) => [role, `${tag}_${role}`])) as Record<
    Role,
    string
  >;
  for (const [role, group] of Object.entries(groups) as [Role, string][]) {
    await owner.query(`create role ${logins[role]} login password 'pass'; grant ${group} to ${logins[role]}`);
    atEnd(async () => {
      const pool = connect(ownerUrl.replace(/\/[^/]*$/, '/postgres'), { max: 1 });
      await pool.query(`drop role if exists ${logins[role]}`).catch(() => undefined);
      await pool.end();
    });
  }
  for (const sql of prepare) {
    const each = sql.includes('{login}')
      ? Object.values(logins).map((login) => sql.replaceAll('{login}', login))
      : [sql];
    for (const statement of each) await owner.query(statement);
  }
  const urlAs = (role: Role): string => {
    const url = new URL(ownerUrl);
    url.username = logins[role];
    url.password = 'pass';
    return url.href;
  };
  const urls = {
    producer: urlAs('producer'),
    relay: urlAs('relay'),
    operator: urlAs('operator'),
    consumer: urlAs('consumer'),
  };
  return { name, owner, ownerUrl, urls, logins };
}

/** The same behind PgBouncer, five server connections a user, lent for a transaction each. Skips the test where it is not installed. */
export async function pooledStage(): Promise<Stage> {
  const program = requires.program('pgbouncer');
  const direct = await directStage();
  const server = new URL(direct.ownerUrl);
  const folder = mkdtempSync(join(tmpdir(), 'outbox-pgbouncer-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const users = [
    [server.username, decodeURIComponent(server.password)],
    ...Object.values(direct.logins).map((login) => [login, 'pass']),
  ];
  writeFileSync(
    join(folder, 'users'),
    users.map((pair) => `${pair.map((text) => `"${text}"`).join(' ')}\n`).join(''),
  );
  writeFileSync(
    join(folder, 'ini'),
    `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${join(folder, 'users')}
pool_mode = transaction
default_pool_size = 5
max_client_conn = 200
`,
  );
  // Root may not run it; any other user does.
  const user = process.getuid?.() === 0 ? idsOf('nobody') : undefined;
  if (user !== undefined)
    for (const path of [folder, join(folder, 'ini'), join(folder, 'users')])
      chownSync(path, user.uid, user.gid);
  const child = spawn(program, ['-q', join(folder, 'ini')], { ...user, cwd: '/', stdio: 'ignore' });
  const ended = once(child, 'exit');
  atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const pooled = (url: string): string => {
    const through = new URL(url);
    through.port = String(port);
    return through.href;
  };
  const ownerUrl = pooled(direct.ownerUrl);
  const look = connect(ownerUrl, { max: 1 });
  atEnd(() => look.end());
  await eventually(() => look.query('select 1'));
  const { producer, relay, operator, consumer } = direct.urls;
  return {
    ...direct,
    ownerUrl,
    urls: {
      producer: pooled(producer),
      relay: pooled(relay),
      operator: pooled(operator),
      consumer: pooled(consumer),
    },
  };
}

function idsOf(name: string): { uid: number; gid: number } {
  const line = execFileSync('getent', ['passwd', name], { encoding: 'utf8' }).split(':');
  return { uid: Number(line[2]), gid: Number(line[3]) };
}
