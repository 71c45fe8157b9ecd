import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
} from '../support/index.ts';
import { folderWith } from './commands.ts';

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly time: string;
}

function linesOf(stdout: string): Line[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

test('run delivers, logs JSON only, and ends in order on SIGTERM', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const spawned = spawnRun({ databaseUrl: database.url, cwd: await folderWith() });
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: 1 },
    { ownTransaction: true },
  );
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  await spawned.kill('SIGTERM');
  expect(await spawned.ended).toEqual({ code: 0, signal: null });
  const messages = linesOf(spawned.stdout()).map(({ msg }) => msg);
  expect(messages).toEqual(expect.arrayContaining(['relay started', 'ready', 'relay stopped', 'stopped']));
  // Temporal's SDK is quiet unless something is wrong.
  expect(spawned.stderr()).toBe('');
});

test('relay and worker deliver as two processes', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const cwd = await folderWith();
  const both = ['relay', 'worker'].map((name) => spawnRun({ databaseUrl: database.url, args: [name], cwd }));
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: 1 },
    { ownTransaction: true },
  );
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  for (const spawned of both) {
    await spawned.kill('SIGINT');
    expect(await spawned.ended).toEqual({ code: 0, signal: null });
  }
});

test('a second signal ends the process at once', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 'hang' });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', timeout: 20s } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const spawned = spawnRun({ databaseUrl: database.url, cwd: await folderWith() });
  await enqueue(database.pool, { type: 'order.created', payload: 1 }, { ownTransaction: true });
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  spawned.child.kill('SIGTERM');
  await eventually(() => expect(spawned.stdout()).toContain('a second signal ends at once'));
  await spawned.kill('SIGTERM');
  expect(await spawned.ended).toEqual({ code: 143, signal: null });
});

test('run warns when nothing is applied, and when the file differs from what is', async () => {
  const database = await createTestDatabase();
  const file = `name: ${database.name}\ndestinations: { b: { type: http, url: 'https://b.example' } }\nroutes: [{ match: x, to: [b] }]\n`;
  const cwd = await folderWith({ 'outbox.yaml': file });
  const empty = spawnRun({ databaseUrl: database.url, cwd });
  await eventually(() => expect(empty.stdout() + empty.stderr()).toContain('no configuration is applied'), {
    timeout: 50_000,
  });
  await empty.kill('SIGTERM');
  await applyTestConfig(database, file.replace('b.example', 'c.example'));
  const other = spawnRun({ databaseUrl: database.url, cwd });
  await eventually(
    () => expect(other.stdout() + other.stderr()).toContain('the file differs from what the database holds'),
    {
      timeout: 50_000,
    },
  );
  await other.kill('SIGTERM');
  expect(linesOf(other.stdout()).filter(({ level }) => level === 'warn')).toHaveLength(1);
}, 120_000);
