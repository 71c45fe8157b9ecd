/** The audit says how it is known who sent a command, and what it changed. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { announceCommand } from '../../src/storage/audit.ts';
import type { ParsedCommand } from '../../src/core/command.ts';
import { resolve } from '../../src/storage/resolutions.ts';
import { atEnd, uniqueName } from '../support/index.ts';
import { databaseWith, parked, session } from './fixtures.ts';

const digest = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

test('a signal without a principal is a claim, one with is proved, and what was announced in SQL has its login', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 3);
  const principal = 'jwt:ada@example.com';
  const send = (command: ParsedCommand, via = 'signal') =>
    resolve(pool, workflowId, { actor: 'ada', ...command }, via);
  const [one, two, three] = (
    await rows<{ id: string }>('select event_id as id from outbox.dead_letters')
  ).map(({ id }) => id) as [string, string, string];
  await send({ action: 'retry', events: [one], sender: { principal: null, identity: 'web@ui' } });
  await send({ action: 'retry', events: [two], sender: { principal, identity: null } });
  const announced: ParsedCommand = {
    action: 'discard',
    actor: 'ada',
    events: [three.toUpperCase()],
    commandId: 'c-1',
  };
  await announceCommand(pool, workflowId, announced);
  // The same id does not lend its proof to another command.
  await send({ ...announced, action: 'redirect', to: 'nowhere' }, 'update');
  await announceCommand(pool, workflowId, { ...announced, commandId: 'c-2' });
  await send({ ...announced, commandId: 'c-2' }, 'update');
  const [{ login }] = (await rows<{ login: string }>('select session_user::text as login')) as [
    { login: string },
  ];
  expect(
    await rows(
      'select action, outcome, known, principal, identity, "session_user" as login from outbox.audit',
    ),
  ).toEqual([
    { action: 'retry', outcome: 'done', known: 'claimed', principal: null, identity: 'web@ui', login },
    { action: 'retry', outcome: 'done', known: 'proved', principal, identity: null, login },
    { action: 'redirect', outcome: 'refused', known: 'claimed', principal: null, identity: null, login },
    { action: 'discard', outcome: 'done', known: 'session_user', principal: null, identity: null, login },
  ]);
  expect(
    await rows(`select resolved_by from outbox.dead_letters order by event_id = $1 desc`, [two]),
  ).toEqual([{ resolved_by: principal }, { resolved_by: 'ada' }, { resolved_by: 'ada' }]);
  expect(await rows('select 1 from outbox.announced_commands')).toEqual([]);
});

test('before and after have state, destination, revision, and texts by their digest alone', async () => {
  const { pool, rows } = await databaseWith({ billing: {}, spare: {} });
  const { workflowId, events } = await parked(pool, 2);
  const [first = '', second = ''] = events;
  const secret = '{"card": "4111"}';
  const command: ParsedCommand = { action: 'edit', events: [first], payload: JSON.parse(secret) as unknown };
  await resolve(pool, workflowId, command, 'signal');
  await resolve(pool, workflowId, { action: 'redirect', events: [second], to: 'spare' }, 'signal');
  await resolve(pool, workflowId, { action: 'discard', events: [second] }, 'signal');
  const lines = await rows<{ before: object[]; after: object[] }>(
    'select before, after from outbox.audit order by id',
  );
  const [original, other] = await rows<{ text: string }>(
    'select payload::text as text from outbox.events order by id',
  ).then((texts) => texts.map(({ text }) => digest(text)));
  const at = { event: first, destination: 'billing' };
  const there = { event: second, destination: 'billing' };
  expect(lines).toMatchObject([
    {
      before: [{ ...at, state: 'parked', revision: 1, payload: original }],
      after: [{ ...at, state: 'retry', revision: 2, payload: digest(secret) }],
    },
    {
      before: [{ ...there, state: 'parked', payload: other }],
      after: [{ event: second, destination: 'spare', state: 'pending', payload: other }],
    },
    { before: null, after: null },
  ]);
  expect(JSON.stringify(lines)).not.toContain('4111');
});

test('an operator’s own login is the proof; a principal that it brings along is not believed', async () => {
  const { pool, rows, url } = await databaseWith({ billing: {} });
  const { workflowId } = await parked(pool, 1);
  const login = uniqueName('ops');
  const ops = await session(url);
  await ops.query(`create role "${login}" in role outbox_operator`);
  atEnd(() => pool.query(`drop role "${login}"`));
  await ops.query(`set session authorization "${login}"`);
  const sender = { principal: 'jwt:the.boss', identity: null };
  await announceCommand(ops, workflowId, { action: 'retry', commandId: 'c-1', sender });
  await resolve(pool, workflowId, { action: 'retry', commandId: 'c-1' }, 'update');
  await ops.query('select outbox.command_redrive(1, $1, $2)', [
    JSON.stringify({ action: 'pause', sender }),
    'sql',
  ]);
  expect(await rows('select known, principal, "session_user" as login from outbox.audit')).toEqual([
    { known: 'session_user', principal: null, login },
    { known: 'session_user', principal: null, login },
  ]);
});
