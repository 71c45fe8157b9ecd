/**
 * Makes `dist/client`, the package temporal-outbox-client: what producers and consumers load, out of the same compiled files, as ESM
 * and as CommonJS. It needs nothing at run time but Node, so that it installs in a second, loads in Jest and goes through any bundler.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Entry of the package → the compiled file. */
export const clientEntries: Readonly<Record<string, string>> = {
  '.': 'src/producer',
  './inbox': 'src/inbox/index',
  './receiver': 'src/receiver/index',
  './consumer': 'src/consumer/index',
  './drizzle': 'src/adapters/drizzle',
  './knex': 'src/adapters/knex',
  './kysely': 'src/adapters/kysely',
  './mikro-orm': 'src/adapters/mikroOrm',
  './nestjs': 'src/adapters/nestjs',
  './postgres-js': 'src/adapters/postgresJs',
  './prisma': 'src/adapters/prisma',
  './sequelize': 'src/adapters/sequelize',
  './typeorm': 'src/adapters/typeorm',
};

/** Reads files beside itself, which a bundle does not have. */
const embedded = 'src/inbox/migrationTexts.js';

const dist = new URL('../../', import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, dist), 'utf8');

export async function buildClientPackage(): Promise<void> {
  await rm(new URL('client/', dist), { recursive: true, force: true });
  const entries = Object.values(clientEntries);
  for (const [path, text] of await reachedFrom(entries.map((entry) => `${entry}.js`))) {
    const code = path === embedded ? await embeddedMigrations() : text;
    await write(`client/esm/${path}`, code);
    await write(`client/cjs/${path}`, commonJs(code));
  }
  for (const [path, text] of await reachedFrom(entries.map((entry) => `${entry}.d.ts`))) {
    const declarations = text.replace(/(from|import\() ?'(\.[^']*)\.ts'/g, (_, how: string, name: string) =>
      how === 'from' ? `from '${name}.js'` : `import('${name}.js'`,
    );
    await write(`client/esm/${path}`, declarations);
    await write(`client/cjs/${path}`, declarations);
  }
  await write('client/esm/package.json', JSON.stringify({ type: 'module', sideEffects: false }));
  await write('client/cjs/package.json', JSON.stringify({ type: 'commonjs', sideEffects: false }));
  await write('client/package.json', await manifest());
  await write('client/README.md', readme);
  await write('client/LICENSE', await read('../LICENSE'));
}

/** The files, and all that they import of ours. */
async function reachedFrom(entries: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const left = [...entries];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (found.has(path)) continue;
    const text = await read(path);
    found.set(path, text);
    // What it imports but for the embedded texts, which import nothing any more.
    if (path === embedded) continue;
    for (const { fileName } of ts
      .preProcessFile(text)
      .importedFiles.filter((each) => each.fileName.startsWith('.'))) {
      const extension = path.endsWith('.d.ts') ? '.d.ts' : '.js';
      left.push(posix.join(posix.dirname(path), fileName.replace(/\.(ts|js)$/, extension)));
    }
  }
  return found;
}

async function embeddedMigrations(): Promise<string> {
  const { readInboxMigrations, readInboxRoles } = await import('../inbox/migrationTexts.ts');
  return `const migrations = ${JSON.stringify(await readInboxMigrations(), null, 1)};
const roles = ${JSON.stringify(await readInboxRoles())};
export function readInboxMigrations() { return Promise.resolve(migrations); }
export function readInboxRoles() { return Promise.resolve(roles); }
`;
}

function commonJs(code: string): string {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2023,
      esModuleInterop: true,
    },
  });
  // What Node has in its place; only who loads a broker's client asks for it.
  return outputText.replaceAll('import.meta.url', "require('node:url').pathToFileURL(__filename).href");
}

async function manifest(): Promise<string> {
  const whole = JSON.parse(await read('../package.json')) as Record<string, Record<string, string>>;
  const { version, keywords, license, engines, repository, homepage, dependencies } = whole;
  const exports = Object.fromEntries(
    Object.entries(clientEntries).map(([name, path]) => [
      name,
      {
        import: { types: `./esm/${path}.d.ts`, default: `./esm/${path}.js` },
        require: { types: `./cjs/${path}.d.ts`, default: `./cjs/${path}.js` },
      },
    ]),
  );
  // For `moduleResolution: node10`, which knows no exports.
  const older = Object.entries(clientEntries).map(([name, path]) => [
    name.slice(2) || '.',
    [`./cjs/${path}.d.ts`],
  ]);
  const main = clientEntries['.'] as string;
  return JSON.stringify(
    {
      ...{ name: 'temporal-outbox-client', version },
      description:
        'The producer’s and the consumer’s side of temporal-outbox: enqueue, half messages, inbox, receiver, consumers of queues. Without Temporal.',
      ...{ keywords, license, engines, repository, homepage },
      ...{ type: 'module', sideEffects: false, main: `./cjs/${main}.js`, types: `./cjs/${main}.d.ts` },
      exports: { ...exports, './package.json': './package.json' },
      typesVersions: {
        '*': Object.fromEntries(older.filter(([name]) => name !== '.')) as Record<string, string[]>,
      },
      // The types of the receiver's pool, for who writes TypeScript and so has them.
      peerDependencies: { '@types/pg': dependencies?.['@types/pg'] },
      peerDependenciesMeta: { '@types/pg': { optional: true } },
    },
    null,
    2,
  );
}

const readme = `# temporal-outbox-client

What services need that write events to [temporal-outbox](https://www.npmjs.com/package/temporal-outbox), or receive them: \`enqueue\`, half messages,
\`/inbox\`, \`/receiver\`, \`/consumer\` (which loads the client of the broker that you name), and adapters for Knex, Kysely, Drizzle, Prisma, TypeORM, MikroORM, Sequelize, postgres.js and NestJS. It is made from the same sources, at the
same version, and installs neither Temporal nor anything else that runs. The relay, the worker and the commands are in \`temporal-outbox\`.

    import { enqueue } from 'temporal-outbox-client';

    await client.query('begin');
    await client.query('insert into orders (id, total) values ($1, $2)', [order.id, order.total]);
    await enqueue(client, { type: 'order.created', key: order.id, payload: order });
    await client.query('commit');
`;

async function write(path: string, text: string): Promise<void> {
  const file = fileURLToPath(new URL(path, dist));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
