/** Producers in other languages, as docs/producers.md has them. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { folderWith } from '../cli/commands.ts';
import { readPages } from '../docs/pages.ts';
import { databaseWith } from '../storage/fixtures.ts';
import { classPath, requireJars } from '../support/brokers/jars.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { requires, type TestDatabase } from '../support/index.ts';

const execute = promisify(execFile);
const page = (await readPages()).find(({ path }) => path === 'docs/producers.md');
let database: TestDatabase;

beforeAll(async () => {
  database = await databaseWith({ billing: {} });
  await database.pool.query('create table orders (id text primary key, total integer)');
});

/** The block of the page that has these words. */
function block(language: string, words: string): string {
  const found = page?.blocks.find((each) => each.language === language && each.text.includes(words));
  expect(found, `a block of ${language} with ${words}`).toBeDefined();
  return found?.text ?? '';
}

const written = (key: string) =>
  database.rows<{ payload: unknown }>(
    `select e.payload from outbox.events e join outbox.deliveries d on d.event_id = e.id where e.key = $1`,
    [key],
  );

const python = async (program: string): Promise<void> => {
  const cwd = await folderWith({ 'produce.py': program });
  const env = { ...process.env, OUTBOX_DATABASE_URL: database.url };
  await execute(requires.python('psycopg', 'sqlalchemy'), ['produce.py'], { cwd, env });
};

test('psycopg writes an order and its event', async () => {
  await python(block('python', 'psycopg.connect'));
  expect(await written('o-3')).toEqual([{ payload: { id: 'o-3', total: 95 } }]);
  expect(await database.rows(`select total from orders where id = 'o-3'`)).toEqual([{ total: 95 }]);
});

test('SQLAlchemy writes an event in the transaction of its session', async () => {
  await python(`import json, os
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
engine = create_engine(os.environ["OUTBOX_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1))
order = {"id": "o-4", "note": "a:b, {c} \\u2603"}
${block('python', 'Session(engine)')}`);
  expect(await written('o-4')).toEqual([{ payload: { id: 'o-4', note: 'a:b, {c} ☃' } }]);
});

test('JDBC writes nothing with a rollback, and one event with a commit', async () => {
  requireJars('jdbc');
  requires.program('javac');
  const insert = block('java', 'prepareStatement');
  const cwd = await folderWith({
    'Produce.java': `import java.sql.DriverManager;
class Produce {
  public static void main(String[] given) throws Exception {
    var orderAsJson = "{\\"id\\": \\"o-5\\", \\"total\\": 12345678901234567890.10}";
    try (var connection = DriverManager.getConnection(given[0], given[1], given[2])) {
      connection.setAutoCommit(false);
      ${insert}
      connection.rollback();
      ${insert}
      connection.commit();
    }
  }
}`,
  });
  const { host, pathname, username, password } = new URL(database.url);
  const login = [`jdbc:postgresql://${host}${pathname}`, username, password].map(decodeURIComponent);
  await execute('java', ['-cp', classPath('jdbc') ?? '', join(cwd, 'Produce.java'), ...login]);
  expect(await database.rows(`select payload::text from outbox.events where key = 'o-5'`)).toEqual([
    { payload: '{"id": "o-5", "total": 12345678901234567890.10}' },
  ]);
});

test(
  'pgx writes nothing with a rollback, and one event with a commit',
  { timeout: 300_000 },
  async (context) => {
    onlyWithEverything(context, 'a compiler');
    const project = join(import.meta.dirname, 'pgx');
    const insert = block('go', 'tx.Exec');
    const cwd = await folderWith({
      'go.mod': await readFile(join(project, 'go.mod'), 'utf8'),
      'go.sum': await readFile(join(project, 'go.sum'), 'utf8'),
      'main.go': `package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	orderAsJSON := \`{"id": "o-6", "total": 12345678901234567890.10}\`
	connection, err := pgx.Connect(ctx, os.Args[1])
	if err != nil {
		panic(err)
	}
	for _, end := range []func(pgx.Tx) error{
		func(tx pgx.Tx) error { return tx.Rollback(ctx) },
		func(tx pgx.Tx) error { return tx.Commit(ctx) },
	} {
		tx, err := connection.Begin(ctx)
		if err != nil {
			panic(err)
		}
		${insert}
		if err != nil {
			panic(err)
		}
		if err = end(tx); err != nil {
			panic(err)
		}
	}
}
`,
    });
    await execute(requires.go(), ['run', '.', database.url], { cwd });
    expect(await database.rows(`select payload::text from outbox.events where key = 'o-6'`)).toEqual([
      { payload: '{"id": "o-6", "total": 12345678901234567890.10}' },
    ]);
  },
);
