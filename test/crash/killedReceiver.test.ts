import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { applyTestConfig, atEnd, createTestDatabase, eventually, startRun } from '../support/index.ts';

/** Has its effect (a line in a file, on disk), and with DIE=1 ends before it answers. */
const program = `
  const { createServer } = require('node:http');
  const { appendFileSync } = require('node:fs');
  createServer((request, response) => {
    request.resume().on('end', () => {
      appendFileSync(process.env.EFFECTS, request.headers['idempotency-key'] + ' ' + request.headers['outbox-attempt'] + '\\n');
      if (process.env.DIE === '1') process.kill(process.pid, 'SIGKILL');
      response.writeHead(204).end();
    });
  }).listen(Number(process.env.PORT), '127.0.0.1');
`;

function startProcess(env: Record<string, string>) {
  const child = spawn(process.execPath, ['--eval', program], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, signal) => resolve(signal)),
  );
  atEnd(() => void child.kill('SIGKILL'));
  return { ended };
}

test('a receiver killed after its effect and before its answer gets the same key again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'killed-receiver-'));
  atEnd(() => rm(directory, { recursive: true }));
  const port = await freePort();
  const env = { EFFECTS: join(directory, 'effects'), PORT: String(port) };
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: 'http://127.0.0.1:${port}/', retry: { initialInterval: 100ms, maximumAttempts: 1 } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const first = startProcess({ ...env, DIE: '1' });
  await startRun({ databaseUrl: database.url });
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: { total: 1 } },
    { ownTransaction: true },
  );
  expect(await first.ended).toBe('SIGKILL');
  expect(await readFile(env.EFFECTS, 'utf8')).toBe(`"billing/${id}" 1\n`);

  startProcess(env);
  await eventually(async () => {
    expect(await database.rows('select 1 from outbox.delivered where event_id = $1', [id])).toHaveLength(1);
  });
  const effects = (await readFile(env.EFFECTS, 'utf8')).trim().split('\n');
  expect(effects.map((line) => line.split(' ')[0])).toEqual([`"billing/${id}"`, `"billing/${id}"`]);
  // A broken connection is not the event's fault: one attempt was allowed, and none was spent.
  const charged = await database.rows('select charged from outbox.attempts where event_id = $1', [id]);
  expect(charged.length).toBeGreaterThan(0);
  expect(charged.every((row) => row['charged'] === false)).toBe(true);
});
