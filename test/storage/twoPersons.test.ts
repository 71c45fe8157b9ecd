/** `resolutions.twoPersons`: what one person alone cannot do, whichever way the command comes. */
import { beforeEach, expect, test } from 'vitest';
import type { ParsedCommand } from '../../src/core/command.ts';
import { checkRedrive, type CheckedRedrive, type RedriveRequest } from '../../src/core/redrive.ts';
import { announceCommand, readFirstWords } from '../../src/storage/audit.ts';
import { commandRedrive, freezeRedrive } from '../../src/storage/redrives.ts';
import { prepareRevision, resolve, type ResolutionAnswer } from '../../src/storage/resolutions.ts';
import { atEnd, uniqueName, type TestDatabase } from '../support/index.ts';
import { databaseWith, parked, session } from './fixtures.ts';

let database: TestDatabase;
let workflowId: string;
let events: readonly string[];
let commands: number;
beforeEach(async () => {
  database = await databaseWith({ billing: {}, spare: {} });
  ({ workflowId, events } = await parked(database.pool, 3));
  commands = 0;
  await rule({ for: ['discard', 'edit'], lettersAbove: 2, withinMs: 3_600_000 });
});

const rule = (twoPersons: object) =>
  database.pool.query(
    `update outbox.destinations set config = config || jsonb_build_object('resolutions', $1::jsonb) where name = 'billing'`,
    [JSON.stringify({ redirectTo: null, twoPersons })],
  );

/** By a signal whose sender Temporal authenticated; null: by anybody. */
const signal = (principal: string | null, command: ParsedCommand): Promise<ResolutionAnswer> =>
  resolve(
    database.pool,
    workflowId,
    { ...command, commandId: `s-${commands++}`, sender: { principal, identity: null } },
    'signal',
  );

const needed = 'OUTBOX_SECOND_PERSON_NEEDED';
const first = (): string => events[0] ?? '';
const letterOf = async (event: string): Promise<number> =>
  Number(
    (
      await database.rows<{ id: string }>('select id from outbox.dead_letters where event_id = $1', [event])
    )[0]?.id,
  );

test('a claim counts for nobody, one person twice is one, and a second one does it; each is a line', async () => {
  const discard: ParsedCommand = { action: 'discard', events: [first()], reason: 'test order', actor: 'eve' };
  expect(await signal(null, discard)).toMatchObject({
    outcome: 'refused',
    code: needed,
    message: expect.stringMatching(/takes two persons at billing: proved persons alone count/) as string,
  });
  expect(await signal('jwt:ada', discard)).toMatchObject({ outcome: 'waiting', code: needed, events: 0 });
  expect(await readFirstWords(database.pool, { letter: await letterOf(first()) })).toMatchObject([
    { action: 'discard', letters: 1, person: 'jwt:ada', known: 'proved', reason: 'test order' },
  ]);
  expect(await signal('jwt:ada', { ...discard, actor: 'bob', reason: 'really' })).toMatchObject({
    outcome: 'refused',
    message: expect.stringContaining('jwt:ada said so first: it has to be somebody else, until ') as string,
  });
  // Another event, and another action, are other words.
  expect(await signal('jwt:bob', { ...discard, events: [events[1] ?? ''] })).toMatchObject({
    outcome: 'waiting',
  });
  expect(await signal('jwt:bob', { action: 'edit', events: [first()], payload: 1 })).toMatchObject({
    outcome: 'waiting',
  });
  expect(await signal('jwt:bob', { action: 'discard', events: [first()] })).toMatchObject({
    outcome: 'done',
    events: 1,
    message: expect.stringContaining('jwt:ada had said so first') as string,
  });
  expect(await readFirstWords(database.pool, { letter: await letterOf(first()) })).toEqual([]);
  expect(
    (await database.rows<{ outcome: string }>('select outcome from outbox.audit order by id')).map(
      (line) => line.outcome,
    ),
  ).toEqual(['refused', 'waiting', 'refused', 'waiting', 'waiting', 'done']);
  // What needs no second person still needs none.
  expect(await signal(null, { action: 'retry', events: [events[2] ?? ''] })).toMatchObject({
    outcome: 'done',
  });
});

test('what is said first is forgotten in time, and a repeat of the same command is not a second word', async () => {
  await rule({ for: ['discard'], lettersAbove: null, withinMs: 1 });
  const discard: ParsedCommand = { action: 'discard', events: [first()] };
  const sent = { ...discard, commandId: 'one', sender: { principal: 'jwt:ada', identity: null } };
  expect(await resolve(database.pool, workflowId, sent, 'signal')).toMatchObject({ outcome: 'waiting' });
  expect(await resolve(database.pool, workflowId, sent, 'signal')).toMatchObject({
    outcome: 'waiting',
    repeated: true,
  });
  expect(await signal('jwt:bob', discard)).toMatchObject({ outcome: 'waiting' });
  expect(await signal('jwt:bob', discard)).toMatchObject({ outcome: 'waiting' });
});

test('an edit is confirmed by its text, stored before or sent along, digits and all; a kind of proof by its like', async () => {
  const text = '{"total": 12345678901234567890.10}';
  const store = () =>
    prepareRevision(database.pool, {
      ...{
        eventId: first(),
        destination: 'billing',
        payload: text,
        headers: null,
        actor: 'ada',
        reason: null,
      },
    });
  const edit = async (principal: string, revision: number | undefined) =>
    signal(principal, { action: 'edit', events: [first()], revision: revision ?? 0 });
  expect(await edit('jwt:ada', await store())).toMatchObject({ outcome: 'waiting' });
  // In a hurry: rounded by whoever sent it.
  expect(
    await signal('jwt:bob', { action: 'edit', events: [first()], payload: JSON.parse(text) as unknown }),
  ).toMatchObject({ outcome: 'waiting' });
  const login = await operatorLogin();
  const announced: ParsedCommand = {
    action: 'edit',
    events: [first()],
    revision: (await store()) ?? 0,
    commandId: 'cli',
  };
  await announceCommand(login.db, workflowId, announced);
  expect(await resolve(database.pool, workflowId, announced, 'update')).toMatchObject({
    outcome: 'refused',
    message: expect.stringMatching(
      /jwt:ada said so first, and nobody can tell whether ops-\w+ is somebody else/,
    ) as string,
  });
  expect(await edit('jwt:bob', await store())).toMatchObject({ outcome: 'done' });
  expect(
    await database.rows(
      `select r.payload::text from outbox.revisions r join outbox.deliveries d using (event_id, destination, revision)`,
    ),
  ).toEqual([{ payload: text }]);
});

test('by SQL logins of people count, and not those of programs or of whoever sends for others', async () => {
  const [ada, bob] = [await operatorLogin(), await operatorLogin()];
  const discard = async (db: typeof ada.db, more: Partial<ParsedCommand> = {}) => {
    const command: ParsedCommand = { action: 'discard', events: [first()], commandId: `c-${commands++}` };
    await announceCommand(db, workflowId, { ...command, ...more });
    return resolve(database.pool, workflowId, command, 'update');
  };
  // The superuser of this test may do what a worker may.
  expect(await discard(database.pool as never)).toMatchObject({ outcome: 'refused', code: needed });
  expect(await discard(ada.db, { onBehalf: true })).toMatchObject({ outcome: 'refused', code: needed });
  expect(await discard(ada.db)).toMatchObject({ outcome: 'waiting' });
  expect(await discard(ada.db)).toMatchObject({ outcome: 'refused' });
  expect(await discard(bob.db)).toMatchObject({
    outcome: 'done',
    message: expect.stringContaining(ada.name) as string,
  });
});

test('a large redrive waits, unstarted, for a second person to start it, whichever way; a small one does not', async () => {
  const [ada, bob] = [await operatorLogin(), await operatorLogin()];
  const freeze = (request: RedriveRequest) =>
    freezeRedrive(database.pool, checkRedrive(request, Date.now()) as CheckedRedrive, 'ada');
  const start = (db: typeof ada.db | TestDatabase['pool'], id: number, more: object = {}, via = 'sql') =>
    commandRedrive(db, id, { action: 'start', commandId: `r-${commands++}`, ...more }, via);
  const large = await freeze({ destination: 'billing' });
  const sender = { principal: 'jwt:eve', identity: null };
  expect(await start(ada.db, large, { onBehalf: true })).toMatchObject({ outcome: 'refused', code: needed });
  expect(await start(database.pool, large, {}, 'workflow')).toMatchObject({
    outcome: 'refused',
    code: needed,
  });
  expect(await start(ada.db, large)).toMatchObject({ outcome: 'waiting', events: 0 });
  // A principal that an operator brings along is not believed.
  expect(await start(ada.db, large, { sender })).toMatchObject({ outcome: 'refused' });
  expect(await start(database.pool, large, { sender }, 'workflow')).toMatchObject({ outcome: 'refused' });
  expect(await database.rows(`select 1 from outbox.redrive_members where state <> 'frozen'`)).toEqual([]);
  expect(await readFirstWords(database.pool, { redrive: large })).toMatchObject([
    { action: 'retry', letters: 3, person: ada.name, known: 'session_user' },
  ]);
  expect(await start(bob.db, large)).toMatchObject({ outcome: 'done', events: 3 });
  expect(await readFirstWords(database.pool, { redrive: large })).toEqual([]);
  await commandRedrive(database.pool, large, { action: 'cancel' }, 'sql');
  const letters = [await letterOf(first())];
  expect(await start(ada.db, await freeze({ letters }))).toMatchObject({ outcome: 'done' });
  const discarded = await freeze({
    letters: [await letterOf(events[1] ?? '')],
    ...{ action: 'discard', reason: 'x' },
  });
  expect(await start(ada.db, discarded)).toMatchObject({ outcome: 'waiting' });
});

/** A person's: may what operators may, and no more. */
async function operatorLogin() {
  const name = uniqueName('ops');
  const db = await session(database.url);
  await db.query(`create role "${name}" in role outbox_operator`);
  atEnd(() => database.pool.query(`drop role "${name}"`));
  await db.query(`set session authorization "${name}"`);
  return { name, db };
}
