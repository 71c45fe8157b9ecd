/** The main paths go on whatever stands around the database. */
import pg from 'pg';
import { expect, test } from 'vitest';
import { keepHouse } from '../../src/housekeeping/pass.ts';
import { connect } from '../../src/storage/connect.ts';
import { atEnd, quietLog } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { hostile } from './hostileDefaults.ts';
import { walkMainPaths } from './mainPaths.ts';
import { directStage, olderStage, pooledStage } from './stages.ts';

const patience = 120_000;

const databaseDefault = (setting: string): string =>
  `do $$ begin execute format('alter database %I set ', current_database()) || $s$${setting}$s$; end $$`;

const publication = 'create publication everything for all tables';
const shortStatements = `alter role {login} set statement_timeout = '2s'`;
const repeatableRead = databaseDefault(`default_transaction_isolation = 'repeatable read'`);
const rowSecurity = `do $$ declare t regclass; begin
  for t in select oid::regclass from pg_class where relkind in ('r', 'p')
           and relnamespace in ('outbox'::regnamespace, 'outbox_inbox'::regnamespace) loop
    execute format('alter table %s enable row level security', t);
    execute format('create policy ours on %s using (true) with check (true)', t);
  end loop;
end $$`;

test(
  'under a publication, short statements, repeatable read and row security at once',
  async (context) => {
    onlyWithEverything(context, 'the main paths, once more');
    await walkMainPaths(await directStage([publication, shortStatements, repeatableRead, rowSecurity]));
  },
  patience,
);

test.for<[name: string, ...prepare: string[]]>([
  ['under a publication for all tables', publication],
  ['with a statement timeout of two seconds on every login role', shortStatements],
  ['with repeatable read as the database’s default isolation', repeatableRead],
  [
    'with serializable as the database’s default isolation',
    databaseDefault('default_transaction_isolation = serializable'),
  ],
  ['under the worst defaults that a database can have', ...hostile.map(databaseDefault)],
  ['with row security on for every table and a policy for all rows', rowSecurity],
])('%s', { timeout: patience }, async ([, ...prepare], context) => {
  onlyWithEverything(context, 'each by itself');
  await walkMainPaths(await directStage(prepare));
});

test(
  'on the oldest PostgreSQL that the machine has',
  async (context) => {
    onlyWithEverything(context, 'other versions');
    await walkMainPaths(await olderStage());
  },
  patience,
);

for (const major of [14, 16, 17])
  test(
    `on PostgreSQL ${major}`,
    async (context) => {
      onlyWithEverything(context);
      await walkMainPaths(await olderStage(major));
    },
    patience,
  );

test(
  'through a pooler in transaction mode, which keeps nothing of ours',
  async (context) => {
    onlyWithEverything(context, 'the main paths, once more');
    const stage = await pooledStage();
    await walkMainPaths(stage);
    const owner = connect(stage.ownerUrl ?? '', { max: 4 });
    atEnd(() => owner.end());
    // Passes one after another: the pooler lends whichever connection is free.
    for (let n = 0; n < 10; n++) expect(await keepHouse({ pool: owner, log: quietLog().log })).not.toBeNull();
    // Somebody else's look: our own pools begin each transaction with limits of their own.
    const stranger = new pg.Pool({ connectionString: stage.ownerUrl ?? '', max: 4 });
    atEnd(() => stranger.end());
    const looks = await Promise.all(
      Array.from({ length: 20 }, () =>
        stranger.query(
          `select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`,
        ),
      ),
    );
    expect(new Set(looks.flatMap(({ rows }) => rows.map((row) => JSON.stringify(row))))).toEqual(
      new Set(['{"lock":"0","statement":"0"}']),
    );
    const { rows } = await stage.owner.query(
      `select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database()) and classid = 1869968482 and objid in (3000000, 3000001)`,
    );
    expect(rows).toEqual([]);
  },
  patience,
);
