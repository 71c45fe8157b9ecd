/** README.md followed to the letter: from an empty folder to an event that was delivered and one that was stuck and resolved, with the clock running. */
import { createServer } from 'node:http';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { TypedShell } from '../examples/readmeShell.ts';
import { npm } from '../packaging/npm.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { atEnd, eventually } from '../support/index.ts';
import { repository } from './pages.ts';

const minutes = 5;

test('five minutes are enough', { timeout: 900_000 }, async (context) => {
  onlyWithEverything(context, 'it installs the package and starts servers');
  const blocks = await readmeBlocks();
  const root = await mkdtemp(join(tmpdir(), 'outbox-first-hour-'));
  atEnd(() => rm(root, { recursive: true, force: true }));
  const [clone, project] = [join(root, 'temporal-outbox'), join(root, 'service')];
  await Promise.all([mkdir(clone), mkdir(project)]);
  await npm(['pack', '--ignore-scripts', '--pack-destination', clone], repository);
  // Where the receiver listens is the test's, as other tests listen too.
  const port = await freePort();
  const here = (text: string): string => text.replaceAll('8090', String(port));
  const began = performance.now();

  const shell = new TypedShell(project);
  await through(shell, blocks.find('npm install ../temporal-outbox'));
  await writeFile(join(project, 'outbox.yaml'), blocks.find('type: http\n    url: ${BILLING_URL}'));
  const dev = blocks.find('npx temporal-outbox dev');
  const exports = here(dev.replace(/^npx temporal-outbox dev$/m, ''));
  await through(shell, exports);
  const secret = await shell.run('echo "$BILLING_SECRET"', patienceMs);
  const running = new TypedShell(project, {
    BILLING_SECRET: secret.trim(),
    BILLING_URL: `http://localhost:${port}/hooks`,
  });
  running.begin('npx temporal-outbox dev');
  // What it prints for another terminal.
  const printed = await running.until(/^\s*(export OUTBOX_DATABASE_URL=.*)$/m);
  const url = /OUTBOX_DATABASE_URL='([^']*)'/.exec(printed)?.[1] ?? '';
  await through(shell, `${printed}\nexport CONSUMER_URL='${url}'`);

  // The reader's own: a table, an order, a connection. Nobody takes it yet: it is refused for good, and parked.
  const database = new pg.Client(url);
  await database.connect();
  atEnd(() => database.end());
  await database.query('create table orders (id text, total integer); create table invoices (body text)');
  const refusing = createServer((_request, response) => response.writeHead(422).end('not today'));
  await new Promise<void>((resolve) => refusing.listen(port, resolve));
  const write = async (id: string): Promise<void> => {
    const program = `import pg from 'pg';\nconst order = { id: '${id}', total: 80 };\nconst client = new pg.Client(process.env.OUTBOX_DATABASE_URL);\nawait client.connect();\n${blocks.find('import { enqueue }')}\nawait client.end();\n`;
    await writeFile(join(project, 'write.mjs'), program);
    await through(shell, 'node write.mjs');
  };
  await write('o-1');
  const resolving = blocks.find('npx temporal-outbox dlq list').split('\n');
  const [list = '', retry = ''] = resolving;
  await eventually(async () => expect(await shell.run(list, patienceMs)).toContain('order.created'), {
    timeout: 60_000,
  });
  refusing.closeAllConnections();
  await new Promise((resolve) => refusing.close(resolve));

  // The receiver of the page, and what the page says of its table.
  const migrateInbox = /`(npx temporal-outbox inbox migrate [^`]*)`/.exec(blocks.text)?.[1] ?? '';
  await through(shell, migrateInbox);
  const receiver = here(blocks.find('createReceiver'));
  await writeFile(
    join(project, 'receiver.mjs'),
    `const databaseUrl = process.env.CONSUMER_URL;\n${receiver}\nconsole.log('listening');\n`,
  );
  const receiving = new TypedShell(project, { BILLING_SECRET: secret.trim(), CONSUMER_URL: url });
  receiving.begin('node receiver.mjs');
  await receiving.until(/(listening)/);
  await through(shell, retry);
  const invoiced = async (...ids: readonly string[]): Promise<void> => {
    const { rows } = await database.query<{ id: string }>(
      `select body::jsonb ->> 'id' as id from invoices order by 1`,
    );
    expect(rows.map(({ id }) => id)).toEqual(ids);
  };
  await eventually(() => invoiced('o-1'), { timeout: 60_000 });
  await write('o-2');
  await eventually(() => invoiced('o-1', 'o-2'), { timeout: 60_000 });

  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`from an empty folder to a resolved and a delivered event: ${seconds} s`);
  expect(seconds).toBeLessThan(minutes * 60);
});

/** The fenced blocks of the page; the first that has a text. */
async function readmeBlocks() {
  const text = await readFile(join(repository, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(/^```\w+\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
  return {
    text,
    find: (part: string): string => {
      const found = blocks.find((block) => block.includes(part));
      expect(found, `a block with ${part}`).toBeDefined();
      return found ?? '';
    },
  };
}

/** Installing takes its time. */
const patienceMs = 240_000;

/** To its end, which has to be a good one. */
async function through(shell: TypedShell, block: string): Promise<void> {
  await shell.run(`set -e\n${block}\nset +e`, patienceMs);
}
