/** The package as somebody gets it: packed, installed in an empty project, and used from there. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { builtInTypes } from '../../src/destination/registry.ts';
import { readMigrations } from '../../src/storage/migrate.ts';
import { atEnd, createTestDatabase, eventually, servers, startReceiver } from '../support/index.ts';
import { npm } from './npm.ts';
import { typeErrorsIn } from './types.ts';
import { onlyWithEverything } from '../support/everything.ts';

const repository = join(import.meta.dirname, '..', '..');
const execute = promisify(execFile);
let project: string;
let files: string[];

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'outbox-pack-'));
  atEnd(() => rm(project, { recursive: true, force: true }));
  // `npm test` has built; prepack would empty dist under the other tests.
  const packed = await npm(['pack', '--ignore-scripts', '--json', '--pack-destination', project], repository);
  const [tarball] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
  files = tarball.files.map(({ path }) => path);
  await writeFile(join(project, 'package.json'), '{"name":"empty","private":true,"type":"module"}');
  const quick = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
  await npm(['install', ...quick, `./${tarball.filename}`], project);
}, 240_000);

/** Runs a module in the project; `flags` are Node's. Answers its output. */
async function inProject(program: string, flags: readonly string[] = []): Promise<string> {
  const name = join(project, `program-${Date.now()}.mjs`);
  await writeFile(name, program);
  return (await execute(process.execPath, [...flags, name], { cwd: project })).stdout.trim();
}

/** Node resolves nothing whose name starts with one of these. */
async function without(...names: readonly string[]): Promise<string[]> {
  const refuse = `const names = ${JSON.stringify(names)};
    export function resolve(specifier, context, next) {
      if (names.some((name) => specifier.startsWith(name))) throw new Error('loaded: ' + specifier);
      return next(specifier, context);
    }`;
  await writeFile(join(project, 'refuse.mjs'), refuse);
  await writeFile(
    join(project, 'register.mjs'),
    `import { register } from 'node:module'; register('./refuse.mjs', import.meta.url);`,
  );
  return ['--import', './register.mjs'];
}

test('the package holds the migrations, the workflow bundle and no more than it needs', async () => {
  const migrations = (await readMigrations()).map(({ name }) => `dist/src/storage/migrations/${name}`);
  expect(files).toEqual(
    expect.arrayContaining([...migrations, 'dist/workflow-bundle.js', 'LICENSE', 'CHANGELOG.md']),
  );
  const strange = files.filter(
    (path) => !/^(dist|docs|LICENSE$|CHANGELOG\.md$|README\.md$|package\.json$)/.test(path),
  );
  expect(strange).toEqual([]);
  expect(files.filter((path) => /\.map$|\.test\.|(^|\/)\.|dist\/src\/build|dist\/test/.test(path))).toEqual(
    [],
  );
});

test('what is installed with it is counted, and bounded', async () => {
  const lock = await readFile(join(project, 'node_modules', '.package-lock.json'), 'utf8');
  const packages = Object.keys((JSON.parse(lock) as { packages: object }).packages).length;
  const { stdout } = await execute('du', ['-sk', join(project, 'node_modules')]);
  const megabytes = Math.round(parseInt(stdout, 10) / 1024);
  console.log(`temporal-outbox: ${packages} packages, ${megabytes} MiB`);
  expect(packages).toBeLessThan(260);
  expect(megabytes).toBeLessThan(400);
});

test('nothing in it names the machine it was built on', async () => {
  const root = join(project, 'node_modules', 'temporal-outbox');
  const naming = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await readFile(path, 'utf8')).includes(repository)) naming.push(path);
  }
  expect(naming).toEqual([]);
});

test('a service that writes events loads no Temporal module and no PostgreSQL client', async () => {
  const write = `
    import { enqueue } from 'temporal-outbox';
    const client = { query: async (text, values) => ({ rows: [{ id: JSON.parse(values[0])[0].type, inserted: true }] }) };
    console.log(JSON.stringify(await enqueue(client, { type: 'order.created', payload: {} })));`;
  const flags = await without('@temporalio', 'pg');
  expect(JSON.parse(await inProject(write, flags))).toEqual({ id: 'order.created', inserted: true });
  await expect(inProject(`import 'temporal-outbox/workflows';`, flags)).rejects.toThrow(
    'loaded: @temporalio',
  );
});

test('a consumer loads no Temporal module, no PostgreSQL client and no web framework', async () => {
  const read = `
    import { migrateInbox, processOnce } from 'temporal-outbox/inbox';
    import { createReceiver } from 'temporal-outbox/receiver';
    const asked = [];
    await migrateInbox({ query: async (text) => (asked.push(text), { rows: [{ present: false }] }) });
    const secrets = ['whsec_' + Buffer.alloc(24).toString('base64')];
    const receiver = createReceiver({ consumer: 'c', secrets, pool: {}, handler() {} });
    const answer = await receiver.answer({ method: 'POST', headers: {}, body: new Uint8Array() });
    console.log(JSON.stringify([asked.at(-1).includes('create table outbox_inbox.messages'), answer.status, typeof processOnce]));`;
  const flags = await without('@temporalio', 'pg', 'fastify', 'express', 'hono', 'undici');
  expect(JSON.parse(await inProject(read, flags))).toEqual([true, 415, 'function']);
});

test('installed without the client of any queue it pulls none, and says which one is needed', async () => {
  const clients = new Set(builtInTypes.all.flatMap((type) => type.clients ?? []).map((each) => each.package));
  expect(clients.size).toBeGreaterThan(5);
  expect([...clients].filter((name) => existsSync(join(project, 'node_modules', name)))).toEqual([]);
  const consume = `
    import { createConsumer } from 'temporal-outbox/consumer';
    const from = { type: 'rabbitmq', url: 'amqp://localhost', queue: 'q' };
    try { createConsumer({ from, consumer: 'c', pool: {}, handler() {} }); } catch ({ code, message, hint }) { console.log(JSON.stringify({ code, message, hint })); }`;
  expect(JSON.parse(await inProject(consume))).toEqual({
    code: 'OUTBOX_CLIENT_MISSING',
    message: expect.stringMatching(
      /rabbitmq needs the package amqplib >=2\.3 <3; it is not installed/,
    ) as string,
    hint: "npm install 'amqplib@>=2.3 <3'",
  });
});

test('every entry of the exports map can be imported, and nothing else', async () => {
  const { exports } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
    exports: Record<string, { types: string; default: string } | string>;
  };
  const names = Object.keys(exports).map((key) => key.replace(/^\./, 'temporal-outbox'));
  const program = `const found = {};
    for (const name of ${JSON.stringify(names)}) {
      const json = name.endsWith('.json') ? { with: { type: 'json' } } : {};
      found[name] = Object.keys(await import(name, json)).length;
    }
    console.log(JSON.stringify(found));`;
  const found = JSON.parse(await inProject(program)) as Record<string, number>;
  expect(Object.keys(found)).toEqual(names);
  expect(Object.values(found).every((count) => count > 0)).toBe(true);
  const inside = `await import('temporal-outbox/dist/src/run.js')`;
  await expect(inProject(inside)).rejects.toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED');
});

test('its types hold under moduleResolution nodenext, as strict as a project may be', async (context) => {
  onlyWithEverything(context, 'the compiler over all of it');
  const program = `
    import { enqueue, run, loadConfig, isOutboxError, type NewEvent, type RunOptions, type SqlClient } from 'temporal-outbox';
    import { deliver } from 'temporal-outbox/workflows';
    import { createActivities } from 'temporal-outbox/activities';
    import { startServers, type Servers } from 'temporal-outbox/testing';
    import { processOnce } from 'temporal-outbox/inbox';
    import { createReceiver } from 'temporal-outbox/receiver';
    import pg from 'pg';
    declare const client: SqlClient;
    const event: NewEvent = { type: 'order.created', payload: { total: 1 } };
    export const one: Promise<{ id: string; inserted: boolean }> = enqueue(client, event);
    export const many: Promise<{ id: string }[]> = enqueue(client, [event]);
    export const started: Promise<Servers> = startServers();
    export const serve = (options: RunOptions) => run(options);
    export { deliver, createActivities, loadConfig, isOutboxError };
    export const done: Promise<{ outcome: string }> = processOnce(client, { consumer: 'c', messageId: 'm' }, () => 1);
    export const receiver = createReceiver({
      consumer: 'c', secrets: [], pool: new pg.Pool(),
      handler: async (client: pg.PoolClient, message) => (await client.query(message.text())).rowCount,
    });
    // @ts-expect-error an event has a type
    export const wrong = enqueue(client, { payload: {} });`;
  await writeFile(join(project, 'program.ts'), program);
  const ours = join(project, 'node_modules', 'temporal-outbox');
  const errors = typeErrorsIn(
    join(project, 'program.ts'),
    (path) => !path.includes('node_modules') || path.startsWith(ours),
  );
  expect(errors).toEqual([]);
});

test('the command migrates, applies outbox.yaml, delivers, and ends when told to', async (context) => {
  onlyWithEverything(context, 'it runs a project of its own');
  const database = await createTestDatabase({ migrated: false });
  const receiver = await startReceiver();
  await writeFile(
    join(project, 'outbox.yaml'),
    `name: ${database.name}
destinations: { billing: { type: http, url: '${receiver.url}' } }
routes: [{ match: 'order.*', to: [billing] }]`,
  );
  const env = {
    ...process.env,
    OUTBOX_DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: servers().temporalAddress,
    TEMPORAL_NAMESPACE: servers().temporalNamespace,
  };
  const bin = join(project, 'node_modules', '.bin', 'temporal-outbox');
  expect(existsSync(bin)).toBe(true);
  const command = (...args: string[]) => execute(bin, args, { cwd: project, env });
  expect((await command('--help')).stdout).toContain('migrate');
  await command('migrate');

  const running = execFile(bin, ['run'], { cwd: project, env });
  atEnd(() => running.kill('SIGKILL'));
  const ended = new Promise((resolve) => running.once('exit', resolve));
  await command('send', 'order.created', '--payload', '{"total": 12345678901234567890}');
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  expect(receiver.requests[0]?.body.toString()).toBe('{"total": 12345678901234567890}');
  running.kill('SIGTERM');
  expect(await ended).toBe(0);
});
