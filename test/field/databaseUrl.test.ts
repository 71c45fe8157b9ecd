/** Addresses as people write them: no piece of a password is ever shown. */
import { expect, test } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { describeDatabase } from '../../src/storage/databaseUrl.ts';
import { explainDatabaseError } from '../../src/storage/errors.ts';
import { createTestDatabase, runCli } from '../support/index.ts';
import { session } from '../storage/fixtures.ts';

const broken = [
  ['a raw %', 'postgresql://u:100%sure@127.0.0.1:1/db', 'sure'],
  ['a % before digits that are none', 'postgresql://u:50%zz@127.0.0.1:1/db', 'zz'],
  ['an unescaped @', 'postgresql://u:sec@ret@127.0.0.1:1/db', 'ret'],
  ['an unescaped #', 'postgresql://u:12#ret@127.0.0.1:1/db', 'ret'],
  ['an unescaped /', 'postgresql://u:12/ret@127.0.0.1:1/db', 'ret'],
  ['an @ and a /', 'postgresql://u:12@3/ret@127.0.0.1:1/db', 'ret'],
  ['an @ and a #', 'postgresql://u:12@3#ret@127.0.0.1:1/db', 'ret'],
  ['an @ and a ?', 'postgresql://u:12@3?ret@127.0.0.1:1/db', 'ret'],
  ['an unescaped ?', 'postgresql://u:12?ret@127.0.0.1:1/db', 'ret'],
] as const;

test.each(broken)(
  '%s in the password is an error of its own, which repeats nothing',
  async (_what, url, piece) => {
    expect(() => connect(url)).toThrow(expect.objectContaining({ code: 'OUTBOX_DATABASE_URL_INVALID' }));
    expect(describeDatabase(url)).toBe('(an address that cannot be read)');
    for (const args of [['status'], ['migrate'], ['doctor'], ['run']]) {
      const { code, stdout, stderr } = await runCli([...args, '--json'], { databaseUrl: url });
      expect(code).toBe(3);
      const said = stdout + stderr;
      expect(said).not.toContain(piece);
      expect(said).toContain('OUTBOX_DATABASE_URL_INVALID');
      for (const line of said.trim().split('\n')) JSON.parse(line);
    }
  },
  60_000,
);

test('what is right stays right', () => {
  for (const url of [
    'postgresql://u:100%25sure%40@127.0.0.1:1/db',
    'postgres://localhost/db?user=me@corp&password=x',
    'postgresql:///db?host=/var/run/postgresql',
    'postgresql://u:p@/db?host=/var/run/postgresql',
    'postgresql://u@[::1]:5432/db?sslmode=verify-full',
  ])
    expect(() => connect(url)).not.toThrow();
  expect(describeDatabase('postgresql://u:p@/db?host=/run')).toBe('localhost/db');
});

test('a primary that takes no writes is not called a standby', async () => {
  const database = await createTestDatabase();
  const client = await session(database.url);
  await client.query('begin read only');
  const error: unknown = await client
    .query(`insert into outbox.events (type, payload) values ('a', '{}')`)
    .catch((reason: unknown) => explainDatabaseError(reason, 'here'));
  expect(error).toMatchObject({ code: 'OUTBOX_POSTGRES_READ_ONLY' });
  expect((error as Error).message).not.toContain('standby');
  await database.pool.query(`alter database "${database.name}" set default_transaction_read_only = on`);
  const { stdout } = await runCli(['doctor'], { databaseUrl: database.url });
  expect(stdout).toContain('a primary, and default_transaction_read_only is on');
});

test.each([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])('a certificate that is not trusted (%s) is named, with the four ways on', (code) => {
  const error = explainDatabaseError(Object.assign(new Error('unable to verify'), { code }), 'db:5432/x');
  expect(error).toMatchObject({ code: 'OUTBOX_POSTGRES_TLS' });
  for (const way of [
    'sslrootcert=',
    'NODE_EXTRA_CA_CERTS=',
    'uselibpqcompat=true&sslmode=require',
    'sslmode=no-verify',
  ])
    expect((error as { hint: string }).hint).toContain(way);
});
