/** `redrive …`: preview, what is confirmed, progress, commands. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { requires, runCli } from '../support/index.ts';
import { cli, environmentOf } from '../support/running.ts';
import { settled } from '../resolve/stage.ts';
import { openPlace } from '../redrive/place.ts';
import { json, jsonError, offline } from './commands.ts';

interface Started {
  readonly id: number;
  readonly count: number;
}

test('a redrive from preview to its end', async () => {
  const place = await openPlace();
  const ids = await place.park(12);
  place.heal(...ids);
  const redrive = (...args: string[]) => runCli(['redrive', ...args], { databaseUrl: place.database.url });

  const previewed = json<Started>(
    await redrive('preview', '--destination', 'billing', '--status', '422', '--json'),
  );
  expect(previewed.count).toBe(12);
  const unconfirmed = await redrive('start', '--destination', 'billing');
  expect(unconfirmed.code).toBe(2);
  expect(unconfirmed.stderr).toContain(
    `redrive ${previewed.id + 1} would retry 12 dead letters; nothing was done`,
  );
  expect(unconfirmed.stderr).toContain(`temporal-outbox redrive start ${previewed.id + 1} --yes`);
  expect(place.billing.requests).toHaveLength(12);

  const started = await redrive(
    'start',
    String(previewed.id),
    '--yes',
    '--actor',
    'ada',
    '--follow',
    '--json',
  );
  expect(json(started)).toMatchObject({ id: previewed.id, count: 12, state: 'done', done: 12 });
  await settled(place.database, ids);
  const status = json(await redrive('status', String(previewed.id), '--members', '--json'));
  expect(status).toMatchObject({
    state: 'done',
    total: 12,
    done: 12,
    failed: 0,
    skipped: 0,
    startedBy: 'ada',
  });
  expect(status['members']).toHaveLength(12);
  expect((await redrive('status', String(previewed.id))).stdout).toContain('100 %, done 12 of 12');

  // What was taken by one is not in another that was previewed before.
  const other = json(await redrive('start', String(previewed.id + 1), '--yes', '--follow', '--json'));
  expect(other).toMatchObject({ state: 'done', done: 0, skipped: 12 });
  const cancelled = jsonError(await redrive('cancel', String(previewed.id), '--json'));
  expect(cancelled).toMatchObject({ code: 'OUTBOX_COMMAND_REFUSED' });
  const { items } = json<{ items: unknown[] }>(await redrive('list', '--json'));
  expect(items).toHaveLength(2);
  expect((await redrive('list')).stdout).toContain('{"status":422,"destination":"billing"}');
  expect(jsonError(await redrive('status', '4711', '--json')).code).toBe('OUTBOX_NOT_FOUND');
});

test('on a terminal a bar moves while a redrive goes on', async () => {
  const place = await openPlace();
  const ids = await place.park(20);
  place.heal(...ids);
  const onTerminal = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
  const args = ['redrive', 'start', '--destination', 'billing', '--rate', '8', '--yes', '--follow'];
  const { stdout } = await promisify(execFile)(
    requires.python('pty'),
    ['-c', onTerminal, process.execPath, cli, ...args],
    { env: environmentOf({ databaseUrl: place.database.url }) },
  );
  // Each state is drawn over the one before, in the same line.
  const [line = ''] = stdout.split('\n').filter((each) => each.includes('█'));
  const drawn = line.split('\r\u001b[2K').flatMap((state) => / (\d+) of 20 /.exec(state)?.[1] ?? []);
  const states = [...new Set(drawn.map(Number))];
  expect(states.length).toBeGreaterThanOrEqual(4);
  expect(states).toEqual([...states].sort((a, b) => a - b));
  expect(states.at(-1)).toBe(20);
  expect(line).toContain(`${'█'.repeat(30)} 100 %`);
});

test.each([
  [['start', '--yes'], 'start what?'],
  [['preview'], 'preview what?'],
  [['start', '12', '--all'], 'not both'],
  [['preview', '--all', '--steps', '1,x'], 'list of sizes'],
  [['preview', '--all', '--rate', '0'], 'a number a second'],
])('redrive %j is refused: %s', async (args, message) => {
  const ended = await offline(['redrive', ...args]);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain(message);
});
