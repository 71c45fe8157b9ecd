/** PostgreSQL behind TLS, its certificate signed by an authority of one's own. */
import { chown, copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { findServerUser } from '../../src/embedded/postgresBinaries.ts';
import { connect } from '../../src/storage/connect.ts';
import { expectClean, folderWith, jsonError } from '../cli/commands.ts';
import { authority } from '../support/certificate.ts';
import { atEnd, runCli } from '../support/index.ts';

let server: EmbeddedPostgres;
let folder: string;

beforeAll(async () => {
  const own = authority();
  const { key, cert } = own.issue();
  folder = await folderWith({ 'ca.pem': own.cert, 'other.pem': authority().cert, 'server.pem': cert });
  const keyFile = join(folder, 'server.key');
  await writeFile(keyFile, key, { mode: 0o600 });
  const user = await findServerUser();
  if (user !== null) await chown(keyFile, user.uid, user.gid);
  server = await startPostgres({
    settings: { fsync: 'off', ssl: 'on', ssl_cert_file: join(folder, 'server.pem'), ssl_key_file: keyFile },
  });
  atEnd(() => server.stop());
  const { code, stderr } = await runCli(['migrate', '--skip-config'], { databaseUrl: server.url });
  expect(code, stderr).toBe(0);
});

const status = (query: string, env: Readonly<Record<string, string>> = {}) =>
  runCli(['status', '--json'], { databaseUrl: `${server.url}?${query.replaceAll('DIR', folder)}`, env });

describe('sslmode=require is refused, as the certificate is signed by nobody that Node knows', () => {
  test('in words, with the ways on', async () => {
    const ended = await status('sslmode=require');
    expect(ended.code).toBe(3);
    expectClean(ended);
    const { code, message, hint } = jsonError(ended);
    expect([code, message]).toEqual([
      'OUTBOX_POSTGRES_TLS',
      expect.stringContaining('certificate of 127.0.0.1'),
    ]);
    for (const way of [
      'sslmode=verify-full&sslrootcert=FILE',
      'NODE_EXTRA_CA_CERTS=FILE',
      'uselibpqcompat=true&sslmode=require',
      'sslmode=no-verify',
    ])
      expect(hint).toContain(way);
  });

  test.each([
    ['sslmode=verify-full&sslrootcert=DIR/ca.pem', {}],
    ['sslmode=require', { NODE_EXTRA_CA_CERTS: 'DIR/ca.pem' }],
    ['uselibpqcompat=true&sslmode=require', {}],
    ['uselibpqcompat=true&sslmode=require&sslrootcert=DIR/ca.pem', {}],
    ['sslmode=no-verify', {}],
  ] as const)('and works with %s %j', async (query, env) => {
    const variables = Object.fromEntries(
      Object.entries(env).map(([name, file]) => [name, file.replace('DIR', folder)]),
    );
    const { code, stderr } = await status(query, variables);
    expect(code, stderr).toBe(0);
  });
});

test('a server that asks for a certificate gets one, and without it lets nobody in', async () => {
  const clients = authority();
  const [ours, stranger] = [clients.issue(), authority().issue()];
  const made = await folderWith({
    ...{ 'clients.pem': clients.cert, 'ours.pem': ours.cert, 'ours.key': ours.key },
    ...{ 'stranger.pem': stranger.cert, 'stranger.key': stranger.key },
    // Without TLS for the one who starts it, and waits for it.
    'pg_hba.conf':
      'hostnossl all all all scram-sha-256\nhostssl all all all scram-sha-256 clientcert=verify-ca\n',
  });
  const asking = await startPostgres({
    settings: {
      ...{ fsync: 'off', ssl: 'on', hba_file: join(made, 'pg_hba.conf') },
      ssl_cert_file: join(folder, 'server.pem'),
      ssl_key_file: join(folder, 'server.key'),
      ssl_ca_file: join(made, 'clients.pem'),
    },
  });
  atEnd(() => asking.stop());
  const migrate = (query: string) =>
    runCli(['migrate', '--skip-config', '--json'], {
      databaseUrl: `${asking.url}?sslmode=verify-full&sslrootcert=${folder}/ca.pem${query}`,
    });
  const shown = await migrate(`&sslcert=${made}/ours.pem&sslkey=${made}/ours.key`);
  expect(shown.code, shown.stderr).toBe(0);
  for (const query of ['', `&sslcert=${made}/stranger.pem&sslkey=${made}/stranger.key`]) {
    const refused = await migrate(query);
    expect(refused.code).toBe(3);
    expectClean(refused);
  }
  // One pool over a renewal: its next connection shows what is on disk by then.
  const pool = connect(
    `${asking.url}?sslmode=verify-full&sslrootcert=${folder}/ca.pem&sslcert=${made}/now.pem&sslkey=${made}/now.key`,
  );
  atEnd(() => pool.end());
  const show = async (name: string): Promise<unknown> => {
    for (const kind of ['pem', 'key'])
      await copyFile(join(made, `${name}.${kind}`), join(made, `now.${kind}`));
    return pool.query('select 1');
  };
  await expect(show('stranger')).rejects.toThrow();
  await show('ours');
});

test.each([
  ['another authority', 'sslmode=verify-full&sslrootcert=DIR/other.pem', /certificate of 127\.0\.0\.1/],
  [
    'a file that is not there',
    'sslmode=verify-full&sslrootcert=DIR/missing.pem',
    /missing\.pem cannot be read/,
  ],
  [
    'a file that is no certificate',
    'sslmode=verify-full&sslrootcert=DIR/server.key',
    /TLS|certificate|cannot be read/,
  ],
])('%s is an error of its own', async (_what, query, says) => {
  const ended = await status(query);
  expect(ended.code).toBe(3);
  expectClean(ended);
  expect(jsonError(ended)).toMatchObject({
    code: 'OUTBOX_POSTGRES_TLS',
    message: expect.stringMatching(says) as string,
  });
});

test('a server without TLS says so', async () => {
  const plain = await startPostgres({ settings: { fsync: 'off' } });
  atEnd(() => plain.stop());
  const without = await runCli(['status', '--json'], { databaseUrl: `${plain.url}?sslmode=verify-full` });
  expect([without.code, jsonError(without)]).toMatchObject([3, { code: 'OUTBOX_POSTGRES_TLS' }]);
  expect(jsonError(without).message).toContain('TLS');
});
