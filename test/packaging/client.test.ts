/** temporal-outbox-client as somebody gets it: packed, installed in empty projects of every kind, and an event delivered from each. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';
import { clientEntries } from '../../src/build/clientPackage.ts';
import { openStage, type Stage } from '../deliver/stage.ts';
import { atEnd, eventually } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { npm } from './npm.ts';

const repository = join(import.meta.dirname, '..', '..');
const execute = promisify(execFile);
const mebibyte = 1024 * 1024;
let project: string;
let stage: Stage;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'outbox-client-'));
  atEnd(() => rm(project, { recursive: true, force: true }));
  const target = join(repository, 'dist', 'client');
  const packed = await npm(['pack', '--json', '--pack-destination', project], target);
  const [tarball] = JSON.parse(packed) as [{ filename: string }];
  await writeFile(join(project, 'package.json'), '{"name":"empty","private":true}');
  await install(`./${tarball.filename}`);
  stage = await openStage({});
}, 240_000);

const install = (...packages: readonly string[]): Promise<string> =>
  npm(['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], project);

async function put(name: string, text: string): Promise<string> {
  const path = join(project, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

const run = async (...args: readonly string[]): Promise<string> => {
  const env = { ...process.env, DATABASE_URL: stage.database.url };
  return (await execute(process.execPath, args, { cwd: project, env })).stdout;
};

/** Writes an event whose payload says who wrote it; `pg` stands aside of what is bundled. */
const program = (who: string, imports: string): string => `${imports}
async function main() {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await client.query('begin');
  const { id } = await enqueue(client, { type: 'order.created', payload: { who: '${who}', at: new Date(0), gone: undefined } });
  await client.query('commit');
  await client.end();
  return id;
}
`;
const esm = `import { createRequire } from 'node:module';
import { enqueue } from 'temporal-outbox-client';
const pg = createRequire('${join(repository, 'package.json')}')('pg');`;
const cjs = `const { enqueue } = require('temporal-outbox-client');
const pg = require('${join(repository, 'node_modules', 'pg')}');`;

const delivered = (who: string) =>
  eventually(() =>
    expect(stage.receiver.requests.map(({ body }) => body.toString())).toContain(
      `{"at": "1970-01-01T00:00:00.000Z", "who": "${who}"}`,
    ),
  );

test('it is one package of less than a mebibyte and a half, and loads nothing that Node does not bring', async () => {
  const installed = await readdir(join(project, 'node_modules'));
  expect(installed.filter((name) => !name.startsWith('.'))).toEqual(['temporal-outbox-client']);
  const root = join(project, 'node_modules', 'temporal-outbox-client');
  let bytes = 0;
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  console.log(`temporal-outbox-client: 1 package, ${(bytes / mebibyte).toFixed(2)} MiB`);
  expect(bytes).toBeLessThan(1.5 * mebibyte);
  const strange = new Set<string>();
  for (const name of await readdir(root, { recursive: true })) {
    if (!name.endsWith('.js')) continue;
    for (const { fileName } of ts.preProcessFile(await readFile(join(root, name), 'utf8'), true, true)
      .importedFiles)
      if (!/^(\.|node:)/.test(fileName)) strange.add(fileName);
  }
  expect([...strange]).toEqual([]);
});

test('its entries are those of the whole package, by the same names', async () => {
  const { exports } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string }>;
  };
  for (const [entry, path] of Object.entries(clientEntries))
    expect(exports[entry === '.' ? './producer' : entry]?.default).toBe(`./dist/${path}.js`);
});

test('ESM: every entry is imported, and an event delivered', async () => {
  const names = Object.keys(clientEntries).map((entry) => entry.replace(/^\./, 'temporal-outbox-client'));
  const all = `for (const name of ${JSON.stringify(names)}) if (Object.keys(await import(name)).length === 0) throw name;`;
  await run(await put('esm.mjs', `${program('esm', esm)}\n${all}\nawait main();`));
  await delivered('esm');
});

test('CommonJS: every entry is required, and an event delivered', async () => {
  const names = Object.keys(clientEntries).map((entry) => entry.replace(/^\./, 'temporal-outbox-client'));
  const all = `for (const name of ${JSON.stringify(names)}) if (Object.keys(require(name)).length === 0) throw name;`;
  const flags = process.allowedNodeEnvironmentFlags.has('--no-experimental-require-module')
    ? ['--no-experimental-require-module']
    : [];
  await run(...flags, await put('cjs.cjs', `${program('cjs', cjs)}\n${all}\nmain();`));
  await delivered('cjs');
});

test('the inbox carries its SQL with it, and the classes of both forms are told as ours', async () => {
  await run(
    await put(
      'inbox.cjs',
      `const { migrateInbox, processOnce } = require('temporal-outbox-client/inbox');
const { isOutboxError, OutboxError } = require('temporal-outbox-client');
const pg = require('${join(repository, 'node_modules', 'pg')}');
(async () => {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await migrateInbox(client);
  await client.query('begin');
  const { outcome } = await processOnce(client, { consumer: 'c', messageId: 'm' }, () => 1);
  await client.query('commit');
  await client.end();
  const other = await import('temporal-outbox-client');
  if (outcome !== 'processed' || other.OutboxError === OutboxError) throw new Error(outcome);
  if (!isOutboxError(new other.OutboxError('OUTBOX_USAGE', 'x'))) throw new Error('not told');
})();`,
    ),
  );
});

describe('types', () => {
  const source = `import { enqueue, type NewEvent, type SqlClient } from 'temporal-outbox-client';
import { processOnce } from 'temporal-outbox-client/inbox';
import { createVerifier } from 'temporal-outbox-client/receiver';
import { fromKnex } from 'temporal-outbox-client/knex';
declare const client: SqlClient;
const event: NewEvent = { type: 'a', payload: new Date() };
export const written: Promise<{ id: string }> = enqueue(client, event, { ownTransaction: true });
export { processOnce, createVerifier, fromKnex };
// @ts-expect-error exactly one of the two
export const both: NewEvent = { type: 'a', payload: 1, payloadText: '1' };
// @ts-expect-error a payload is missing
export const none: NewEvent = { type: 'a' };
// @ts-expect-error a bigint is not JSON
export const big: NewEvent = { type: 'a', payload: 1n };
`;
  test.for([
    ['node10', 'types.ts', ts.ModuleKind.CommonJS, 2],
    ['node16, CommonJS', 'types.cts', ts.ModuleKind.Node16, ts.ModuleResolutionKind.Node16],
    ['node16, ESM', 'types.mts', ts.ModuleKind.Node16, ts.ModuleResolutionKind.Node16],
    ['nodenext, CommonJS', 'types.cts', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
    ['nodenext, ESM', 'types.mts', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
    ['bundler', 'types.ts', ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
  ] as const)(
    'are found under moduleResolution %s',
    async ([name, file, module, moduleResolution], context) => {
      if (name !== 'node10' && name !== 'nodenext, ESM') onlyWithEverything(context, 'a sibling is shown');
      const path = await put(file, source);
      const compiled = ts.createProgram([path], {
        ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, ignoreDeprecations: '6.0' },
        ...{ target: ts.ScriptTarget.ES2023, module, moduleResolution },
        ...{ typeRoots: [join(repository, 'node_modules', '@types')], types: ['node'] },
      });
      const problems = ts.getPreEmitDiagnostics(compiled);
      expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual(
        [],
      );
    },
  );
});

describe('bundled as it is, with everything in one file of less than 60 kB', () => {
  const bundled = async (who: string, ...args: readonly string[]): Promise<void> => {
    await run(...args);
    const file = join(project, `${who}.out.cjs`);
    const { size } = await stat(file);
    console.log(`enqueue bundled by ${who}: ${(size / 1000).toFixed(1)} kB`);
    expect(size).toBeLessThan(60_000);
    await run(file);
    await delivered(who);
  };
  // The database's driver is loaded from elsewhere, so that the bundle is ours alone.
  const entry = (who: string): Promise<string> =>
    put(
      `${who}.mjs`,
      program(who, `import { enqueue } from 'temporal-outbox-client';`).replace(
        'async function main() {',
        `async function main() {\n  const { default: pg } = await import(/* webpackIgnore: true */ process.env.PG);`,
      ) + 'main();\n',
    );

  test('by the esbuild, webpack and rollup of today', async (context) => {
    if (process.env['OUTBOX_TEST_ALL'] !== '1') context.skip('left to OUTBOX_TEST_ALL=1');
    process.env['PG'] = join(repository, 'node_modules', 'pg', 'lib', 'index.js');
    await install('esbuild', 'webpack', 'webpack-cli', 'rollup', '@rollup/plugin-node-resolve');
    const bin = (path: string): string => join(project, 'node_modules', path);
    const esbuild = `import { build } from 'esbuild';
await build({ entryPoints: ['esbuild.mjs'], bundle: true, platform: 'node', format: 'cjs', outfile: 'esbuild.out.cjs' });`;
    await entry('esbuild');
    await bundled('esbuild', await put('esbuild.build.mjs', esbuild));
    await entry('webpack');
    await put(
      'webpack.config.cjs',
      `module.exports = { mode: 'production', target: 'node', entry: './webpack.mjs', output: { path: __dirname, filename: 'webpack.out.cjs' } };`,
    );
    await bundled('webpack', bin('webpack/bin/webpack.js'), '--config', 'webpack.config.cjs');
    await entry('rollup');
    await put(
      'rollup.config.mjs',
      `import resolve from '@rollup/plugin-node-resolve';
export default { input: 'rollup.mjs', external: /^node:/, plugins: [resolve()], output: { file: 'rollup.out.cjs', format: 'cjs' } };`,
    );
    await bundled('rollup', bin('rollup/dist/bin/rollup'), '--config', 'rollup.config.mjs');
  }, 300_000);

  test('Jest, CommonJS and without configuration, loads it', async (context) => {
    if (process.env['OUTBOX_TEST_ALL'] !== '1') context.skip('left to OUTBOX_TEST_ALL=1');
    await install('jest');
    await put(
      'jest/order.test.js',
      `${program('jest', cjs)}\ntest('writes', async () => { expect(await main()).toMatch(/-/); });`,
    );
    await put('jest/package.json', '{"private":true}');
    await run(join(project, 'node_modules', 'jest', 'bin', 'jest.js'), '--rootDir', 'jest');
    await delivered('jest');
  }, 300_000);

  test('vitest loads it', async (context) => {
    if (process.env['OUTBOX_TEST_ALL'] !== '1') context.skip('left to OUTBOX_TEST_ALL=1');
    await install('vitest@^4');
    const text = `import { expect, test } from 'vitest';\n${program('vitest', esm)}\ntest('writes', async () => { expect(await main()).toMatch(/-/); });`;
    await put('vitest/order.test.mjs', text);
    await run(join(project, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--root', 'vitest');
    await delivered('vitest');
  }, 300_000);

  test('NestJS injects the publisher, and what it publishes in a transaction is delivered', async (context) => {
    if (process.env['OUTBOX_TEST_ALL'] !== '1') context.skip('left to OUTBOX_TEST_ALL=1');
    await install('@nestjs/common@^11', '@nestjs/core@^11', 'reflect-metadata', 'rxjs');
    const text = `require('reflect-metadata');
const { NestFactory } = require('@nestjs/core');
const { OutboxModule, OutboxPublisher } = require('temporal-outbox-client/nestjs');
const pg = require('${join(repository, 'node_modules', 'pg')}');
(async () => {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  class AppModule {}
  const module = { module: AppModule, imports: [OutboxModule.forRoot({ client: () => client })] };
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  const publisher = app.get(OutboxPublisher);
  await client.query('begin');
  await publisher.publish({ type: 'order.created', payload: { who: 'nest', at: new Date(0) } });
  await publisher.through(client).publish([{ type: 'order.created', payload: { who: 'nest-through', at: new Date(0) } }]);
  await client.query('commit');
  await app.close();
  await client.end();
})();`;
    await run(await put('nest.cjs', text));
    await delivered('nest');
    await delivered('nest-through');
  }, 300_000);
});
