/** A person at a dead letter: an editor, an answer to wait for, and what the receiver said. */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';
import { folderWith, json, jsonError, type Ended } from './commands.ts';

let database: TestDatabase;
let billing: Receiver;
let id: string;
let eventId: string;

beforeEach(async () => {
  database = await createTestDatabase();
  billing = await startReceiver({ answer: { status: 422, body: 'total must be positive\n' } });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${billing.url}', circuit: { enabled: false } }
    routes:
      - { match: 'order.*', to: [billing] }`,
  );
  await startRun({ databaseUrl: database.url });
  const event = { type: 'order.created', payloadText: '{"total": -9007199254740993, "lines": []}' };
  eventId = (await enqueue(database.pool, event, { ownTransaction: true })).id;
  id = await eventually(async () => {
    const [letter] = await database.rows<{ id: string }>('select id from outbox.dead_letters');
    expect(letter).toBeDefined();
    return letter?.id ?? '';
  });
});

async function dlq(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return runCli(['dlq', ...args], { databaseUrl: database.url, env });
}

/** An editor that replaces the file's text by a sed script; keeps what it was given. */
async function editor(sed: string): Promise<{ command: string; seen: string }> {
  const folder = await folderWith();
  const command = join(folder, 'ed it.sh');
  const seen = join(folder, 'seen.json');
  await writeFile(command, `#!/bin/sh\ncp "$2" '${seen}'\nsed -i.old '${sed}' "$2"\n`);
  await chmod(command, 0o755);
  return { command: `'${command}' --wait`, seen };
}

test('an editor gets the payload digit for digit, and what it leaves is sent; --wait tells that it arrived', async () => {
  billing.answer(204);
  const { command, seen } = await editor('s/-9007199254740993/9007199254740995/');
  const edited = await dlq(['edit', id, '--editor', '--wait', '--json'], { EDITOR: command, VISUAL: '' });
  expect(json(edited)).toMatchObject({ done: 1, items: [{ became: 'delivered' }] });
  expect(await readFile(seen, 'utf8')).toBe('{\n    "lines": [\n    ],\n    "total": -9007199254740993\n}\n');
  expect(billing.of(eventId)[1]?.body.toString()).toBe('{"lines": [], "total": 9007199254740995}');
});

test('an editor that changes nothing, or leaves what is not JSON, changes nothing; the text is kept', async () => {
  const idle = await editor('');
  const unchanged = await dlq(['edit', id, '--editor', '--json'], { VISUAL: idle.command });
  expect(unchanged.code).toBe(2);
  expect(jsonError(unchanged).message).toBe('nothing was changed, so nothing was done');
  const clumsy = await editor('s/}$//');
  const broken = await dlq(['edit', id, '--editor', '--json'], { VISUAL: clumsy.command });
  expect(broken.code).toBe(2);
  const { message, hint } = jsonError(broken);
  expect(message).toMatch(/^the edited payload is not JSON/);
  const path = /--file (\S+)$/.exec(hint ?? '')?.[1] ?? '';
  expect(await readFile(path, 'utf8')).toContain('"total": -9007199254740993');
  const failing = await dlq(['edit', id, '--editor', '--json'], { VISUAL: 'false' });
  expect(jsonError(failing).message).toContain('the editor false ended with 1');
  expect(json(await dlq(['show', id, '--json']))).toMatchObject({ resolvedAt: null });
});

test('retry --wait tells that it was parked again, and why', async () => {
  const ended = await dlq(['retry', id, '--wait']);
  expect(ended.code).toBe(1);
  expect(ended.stdout).toMatch(new RegExp(`^done .*\nparked again event ${eventId} \\(billing\\): .*422`));
  billing.answer('hang');
  const [second] = json<{ items: { id: number }[] }>(await dlq(['list', '--json'])).items;
  const late = await dlq(['retry', String(second?.id), '--wait', '--timeout', '4s']);
  expect(late).toMatchObject({ code: 1 });
  expect(late.stdout).toMatch(/^done .*\nstill (retrying|delivering|pending) event/);
});

test('a list shows what the receiver said, and filters by one name', async () => {
  const { stdout } = await dlq(['list', '--parked-for', 'permanent']);
  expect(stdout).toMatch(/ 422: total must be positive\n/);
  expect((await dlq(['list', '--reason', 'poison'])).stdout).toBe('no open dead letters match\n');
  const unknown = await dlq(['list', '--reason', 'rejected']);
  expect(unknown).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Expected one of permanent, ') as string,
  });
  expect(json(await dlq(['list', '--json']))).toMatchObject({
    items: [{ lastExcerpt: expect.stringContaining('total must be positive') as string }],
  });
});
