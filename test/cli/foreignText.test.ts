/** Names, answers, reasons and errors of others on a terminal and in logs: none steers it, none looks like a line of ours. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { prepareMessage } from '../../src/index.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startReceiver,
  startRun,
  type TestDatabase,
} from '../support/index.ts';
import { hostile, tamedProblem } from '../support/hostile.ts';
import { folderWith, offline } from './commands.ts';

let database: TestDatabase;
let eventId: string;
let letterId: string;
let resolvedLetterId: string;
let messageId: string;

/** One parked event, one resolved, a half message, and every text column that anybody may write filled with it. */
beforeAll(async () => {
  database = await createTestDatabase();
  const billing = await startReceiver({ answer: { status: 422, body: hostile } });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${billing.url}', circuit: { enabled: false } }
      away: { type: http, url: '${billing.url}' }
    producers: { shop: { checkBack: { url: 'http://127.0.0.1:9/', grace: 1h } } }
    routes: [{ match: 'evil*', to: [billing] }]`,
  );
  const running = await startRun({ databaseUrl: database.url });
  const write = `insert into outbox.events (type, key, headers, source, subject, payload)
                 values ($1, $1, jsonb_build_object('x', $1::text, $1::text, 'x'), $1, $1, jsonb_build_object($1::text, $1::text)) returning id`;
  const ids = (await Promise.all([1, 2].map(() => database.rows<{ id: string }>(write, [hostile])))).flat();
  await database.pool.query(`insert into outbox.events (type, payload) values ($1, '{}')`, [
    `un${hostile}`.slice(0, 100),
  ]);
  eventId = ids[0]?.id ?? '';
  const letters = await eventually(async () => {
    const found = await database.rows<{ id: string; event_id: string }>(
      'select id, event_id from outbox.dead_letters',
    );
    expect(found).toHaveLength(2);
    return found;
  });
  await running.stop();
  letterId = letters.find((letter) => letter.event_id === eventId)?.id ?? '';
  resolvedLetterId = letters.find(({ id }) => id !== letterId)?.id ?? '';
  const message = {
    producer: 'shop',
    type: hostile,
    key: hostile,
    headers: { x: 'y' },
    payload: { [hostile]: hostile },
  };
  messageId = (await prepareMessage(database.pool, message)).id;
  await database.pool
    .query(`select outbox.resolve_messages(null, $1::jsonb, 'cli')`, [
      JSON.stringify({
        action: 'rollback',
        events: [messageId],
        actor: hostile,
        reason: hostile,
        commandId: hostile,
      }),
    ])
    .catch(() => undefined);
  const everywhere: readonly (readonly [table: string, columns: string, where: string])[] = [
    ['dead_letters', 'last_error, last_error_class, reason', 'true'],
    ['dead_letters', 'resolved_by, resolution_reason', `id = ${resolvedLetterId}`],
    ['attempts', 'address, error_class, message, excerpt', 'error_class is not null'],
    ['relays', 'label', 'true'],
    ['destinations', 'paused_reason', 'true'],
    ['batches', 'paused_in_temporal', 'true'],
    ['prepared_messages', 'last_answer, settled_by', 'true'],
  ];
  await database.pool.query(
    `update outbox.dead_letters set resolved_at = now(), resolution = 'discard' where id = ${resolvedLetterId}`,
  );
  for (const [table, columns, where] of everywhere) {
    const sets = columns.split(', ').map((column) => `${column} = $1`);
    await database.pool.query(`update outbox.${table} set ${sets.join(', ')} where ${where}`, [hostile]);
  }
  await database.pool.query(
    `insert into outbox.relays (id, label) values (gen_random_uuid(), $1);`.replace(';', ''),
    [hostile],
  );
  await database.pool.query(
    `insert into outbox.workers (id, label, unwritten, unwritten_since, unwritten_says) values (gen_random_uuid(), $1, 3, now() - interval '5 min', $1)`,
    [hostile],
  );
  await database.pool.query(
    `insert into outbox.circuits (destination, state, reason, paused_in_temporal, since, opened_at, next_probe_at)
     values ('away', 'open', $1, $1, now() - interval '1 h', now() - interval '1 h', now() + interval '1 h')
     on conflict (destination) do update set state = 'open', reason = $1, paused_in_temporal = $1`,
    [hostile],
  );
  await database.pool.query(
    `insert into outbox.audit (actor, via, workflow_id, action, event_id, destination, outcome, message, reason)
     select $1, 'cli', $1, $1, id, $1, 'done', $1, $1 from unnest($2::uuid[]) id`,
    [hostile, [eventId, messageId]],
  );
  await database.pool.query(
    `update outbox.destinations set paused_at = now(), paused_reason = $1 where name = 'billing'`,
    [hostile],
  );
});

const commands: readonly (readonly [words: string, args: () => readonly string[], shows: boolean])[] = [
  ['status', () => ['status'], true],
  ['status --check', () => ['status', '--check'], true],
  ['doctor', () => ['doctor'], true],
  ['dlq list', () => ['dlq', 'list', '--status', 'all'], true],
  ['dlq show', () => ['dlq', 'show', letterId], true],
  ['dlq show of a resolved one', () => ['dlq', 'show', resolvedLetterId], true],
  ['dlq causes', () => ['dlq', 'causes', '--all'], false],
  ['dlq retry of a resolved one', () => ['dlq', 'retry', resolvedLetterId], true],
  ['dlq edit of a resolved one', () => ['dlq', 'edit', resolvedLetterId, '--payload', '{}'], true],
  ['dlq redirect of a resolved one', () => ['dlq', 'redirect', resolvedLetterId, '--to', 'away'], true],
  ['dlq discard of a resolved one', () => ['dlq', 'discard', resolvedLetterId], true],
  ['events show', () => ['events', 'show', eventId], true],
  ['events list', () => ['events', 'list'], true],
  ['messages list', () => ['messages', 'list', '--status', 'all'], true],
  ['messages show', () => ['messages', 'show', messageId], true],
  ['messages commit', () => ['messages', 'commit', messageId], false],
  ['destinations list', () => ['destinations', 'list'], true],
  ['housekeeping show', () => ['housekeeping', 'show'], false],
  ['routes route-missed', () => ['routes', 'route-missed', '--dry-run'], false],
  ['send', () => ['send', hostile.slice(0, 200), '--payload', '{}'], false],
  ['an unknown command', () => [hostile], true],
  ['an unknown option', () => ['status', `--${hostile}`], true],
  ['a file of that name', () => ['config', 'check', '--config', hostile], true],
  ['a payload file of that name', () => ['send', 'a.b', '--file', hostile], true],
  ['a payload that is not JSON', () => ['send', 'a.b', '--payload', hostile], false],
];

describe('what others wrote steers no terminal and forges no line', () => {
  test.each(commands)('%s', async (_words, args, shows) => {
    const { stdout, stderr } = await runCli(args(), { databaseUrl: database.url });
    expect(tamedProblem(stdout + stderr)).toBeNull();
    if (shows) expect(stdout + stderr).toContain('evil');
  });

  test('as JSON the same commands answer exact data, and their line is as harmless', async () => {
    for (const args of [
      ['dlq', 'show', letterId],
      ['events', 'show', eventId],
      ['status'],
      ['messages', 'show', messageId],
    ]) {
      const { stdout } = await runCli([...args, '--json'], { databaseUrl: database.url });
      expect(tamedProblem(stdout)).toBeNull();
      expect(JSON.stringify(JSON.parse(stdout))).toContain(JSON.stringify(hostile).slice(1, -1));
    }
  });

  test('dlq cause, with a note and an owner that are hostile', async () => {
    const listed = await runCli(['dlq', 'causes', '--all', '--json'], { databaseUrl: database.url });
    const { items } = JSON.parse(listed.stdout) as { items: { id: string | null }[] };
    const id = items.find((item) => item.id !== null)?.id ?? '';
    const note = hostile.slice(0, 95);
    const args = ['dlq', 'cause', id, '--note', note, '--owner', note, '--actor', note];
    const { stdout, stderr } = await runCli(args, { databaseUrl: database.url });
    expect(tamedProblem(stdout + stderr)).toBeNull();
    expect(stdout).toContain('evil');
  });

  test('with a worker, what a command came to', async () => {
    await startRun({ databaseUrl: database.url });
    const who = ['--reason', hostile.slice(0, 180), '--actor', hostile.slice(0, 180)];
    for (const args of [
      ['destinations', 'pause', 'billing'],
      ['destinations', 'pause', 'away'],
      ['destinations', 'resume', 'away'],
      ['dlq', 'discard', letterId],
      ['dlq', 'discard', letterId],
      ['messages', 'rollback', messageId],
      ['erase', '--event', eventId],
    ]) {
      const { stdout, stderr } = await runCli([...args, ...who], { databaseUrl: database.url });
      expect(stdout + stderr).not.toContain('OUTBOX_UNEXPECTED');
      expect(tamedProblem(stdout + stderr), args.join(' ')).toBeNull();
    }
  });
});

test('a configuration file that holds such text is refused in lines of ours, and explained in them', async () => {
  const text = JSON.stringify(hostile);
  const folder = await folderWith({
    'bad.yaml': `destinations:\n  ${text}: { type: http, url: 'http://a.example' }\nroutes: [{ match: ${text}, to: [${text}] }]\n${text}: 1\n`,
    'filter.yaml': `destinations: { a: { type: http, url: 'http://a.example' } }\nroutes: [{ match: 'a', where: ${text}, to: [a] }]\n`,
    'good.yaml': `destinations: { a: { type: http, url: 'http://a.example', headers: { x: 'y' } } }\nroutes: [{ match: ${JSON.stringify('a\u202eb\u009b')}, to: [a] }]\n`,
    'notYaml.yaml': `a: [\n${hostile}`,
  });
  for (const [command, file] of [
    ['check', 'bad.yaml'],
    ['check', 'notYaml.yaml'],
    ['check', 'filter.yaml'],
    ['apply', 'filter.yaml'],
    ['explain', 'good.yaml'],
    ['explain', 'filter.yaml'],
    ['check', 'good.yaml'],
  ] as const) {
    const args = ['config', command, '--config', join(folder, file)];
    const { stdout, stderr } = await runCli(args, { databaseUrl: database.url });
    expect(tamedProblem(stdout + stderr), `${command} ${file}`).toBeNull();
  }
});

test('an error of a server that is no PostgreSQL is one line, without what it steers', async () => {
  const { createServer } = await import('node:net');
  const fields = `SFATAL\0C28000\0M${hostile}\0H${hostile}\0\0`;
  const body = Buffer.from(fields);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(body.length + 4, 1);
  const server = createServer((socket) =>
    socket.on('error', () => undefined).once('data', () => socket.end(Buffer.concat([head, body]))),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  try {
    for (const args of [
      ['status'],
      ['dlq', 'list'],
      ['doctor'],
      ['migrate'],
      ['send', 'a', '--payload', '{}'],
    ]) {
      const { stdout, stderr } = await offline(args, {
        databaseUrl: `postgresql://u:p@127.0.0.1:${port}/db`,
      });
      expect(tamedProblem(stdout + stderr), args.join(' ')).toBeNull();
      expect(stdout + stderr).toContain('evil');
    }
  } finally {
    server.close();
  }
});

test('the log of run and what /readyz answers hold it escaped', async () => {
  const run = spawnRun({
    databaseUrl: database.url,
    args: ['run', '--metrics-listen', '127.0.0.1:0'],
    env: { OUTBOX_LOG_LEVEL: 'debug' },
  });
  const url = await eventually(() => {
    const ready = run
      .stdout()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { endpoints?: Record<string, string> })
      .find(({ endpoints }) => endpoints !== undefined);
    expect(ready).toBeDefined();
    return ready?.endpoints?.['metrics'] ?? '';
  });
  const answer = await fetch(`${url}/readyz`);
  expect(tamedProblem(await answer.text())).toBeNull();
  const pause = ['destinations', 'pause', 'away', '--actor', hostile.slice(0, 180)];
  await runCli(pause, { databaseUrl: database.url });
  await eventually(() => expect(run.stdout()).toContain('evil'));
  await run.kill('SIGTERM');
  expect(tamedProblem(run.stdout() + run.stderr())).toBeNull();
});
