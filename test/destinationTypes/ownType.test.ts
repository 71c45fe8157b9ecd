/** A destination type of a user's own, in a folder of its own: it takes part in all that ours do. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import { withOwnTypes } from '../../src/destination/registry.ts';
import type { DestinationType } from '../../src/destination/type.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { applyConfig } from '../../src/storage/configuration.ts';
import { folderWith, json, offline } from '../cli/commands.ts';
import { problemsIn } from './support.ts';
import { createTestDatabase, eventually, runCli, spawnRun, startRun } from '../support/index.ts';

const module = join(import.meta.dirname, 'fileType/index.mjs');
const { default: fileType } = (await import(module)) as { default: DestinationType };
const destinationTypes = [fileType];

const configOf = (folder: string, file = '{$.region}.jsonl', more = ''): string =>
  `destinations:\n  ledger:\n    type: file\n    folder: ${folder}\n    file: '${file}'\n${more}routes: [{ match: '*', to: [ledger] }]\n`;

async function linesOf(folder: string, file: string): Promise<{ id: string; payload: string }[]> {
  const text = await readFile(join(folder, file), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { id: string; payload: string });
}

test('events go where a template and their payload say, and what a template lacks parks its event with words', async () => {
  const [database, folder] = await Promise.all([createTestDatabase(), folderWith()]);
  const text = `name: ${database.name}\n${configOf(folder)}`;
  const { config } = parseConfig(text, { destinationTypes });
  await applyConfig(database.pool, config, text, 'test');
  await startRun({ databaseUrl: database.url, destinationTypes });
  const [eu, us, nowhere] = await enqueue(
    database.pool,
    [{ region: 'eu' }, { region: 7 }, { region: { is: 'no text' } }].map((payload) => ({
      type: 'a.b',
      payload,
    })),
    { ownTransaction: true },
  );
  await eventually(async () => {
    expect(await linesOf(folder, 'eu.jsonl')).toMatchObject([{ id: eu?.id }]);
    expect(await linesOf(folder, '7.jsonl')).toMatchObject([{ id: us?.id }]);
  });
  await eventually(async () =>
    expect(
      await database.rows(
        'select last_status, last_error_class, last_error from outbox.dead_letters where event_id = $1',
        [nowhere?.id],
      ),
    ).toEqual([
      {
        last_status: null,
        last_error_class: 'invalid-message',
        last_error: 'no file name: the payload has no text, number or boolean at $.region',
      },
    ]),
  );
});

test('in a payload of bytes a template finds nothing, and says so', async () => {
  const [database, folder] = await Promise.all([createTestDatabase(), folderWith()]);
  const text = `name: ${database.name}\n${configOf(folder)}`;
  const { config } = parseConfig(text, { destinationTypes });
  await applyConfig(database.pool, config, text, 'test');
  await startRun({ databaseUrl: database.url, destinationTypes });
  const { id } = await enqueue(
    database.pool,
    { type: 'a', payloadBytes: Buffer.from('{"region": "eu"}'), contentType: 'application/avro' },
    { ownTransaction: true },
  );
  await eventually(async () =>
    expect(
      await database.rows(
        'select last_error_class, last_error from outbox.dead_letters where event_id = $1',
        [id],
      ),
    ).toEqual([
      {
        last_error_class: 'invalid-message',
        last_error: 'no file name: the payload is bytes (application/avro), in which $.region finds nothing',
      },
    ]),
  );
});

test('an acknowledgement without a status that follows a failure is in the history', async () => {
  const [database, folder] = await Promise.all([createTestDatabase(), folderWith()]);
  const missing = join(folder, 'later');
  const text = `name: ${database.name}\n${configOf(missing, 'all', '    retry: { initialInterval: 200ms }\n    circuit: { enabled: false }\n')}`;
  const { config } = parseConfig(text, {
    destinationTypes: [{ ...fileType, open: onceFailing(fileType) }],
  });
  const type: DestinationType = { ...fileType, open: onceFailing(fileType) };
  await applyConfig(
    database.pool,
    { ...config, destinations: config.destinations.map((each) => ({ ...each, folder })) },
    text,
    'test',
  );
  await startRun({ databaseUrl: database.url, destinationTypes: [type] });
  const { id } = await enqueue(database.pool, { type: 'a', payload: {} }, { ownTransaction: true });
  await eventually(async () =>
    expect(
      await database.rows(
        'select try, status, error_class, address from outbox.attempts where event_id = $1 order by try',
        [id],
      ),
    ).toMatchObject([
      { try: 1, status: null, error_class: 'not-ready' },
      { try: 2, status: null, error_class: null, address: `file ${join(folder, 'all')}` },
    ]),
  );
});

/** Its first attempt does not reach anybody. */
function onceFailing(type: DestinationType): DestinationType['open'] {
  let failed = false;
  return (config, services) => {
    const sender = type.open(config, services);
    return {
      ...(sender.describe === undefined ? {} : { describe: sender.describe.bind(sender) }),
      check: null,
      close: () => sender.close(),
      send: async (message, signal) => {
        if (failed) return sender.send(message, signal);
        failed = true;
        const nothing = { status: null, retryAfterMs: null, excerpt: null, durationMs: 1 };
        return { kind: 'unreachable', errorClass: 'not-ready', message: 'not yet', ...nothing };
      },
    };
  };
}

test('its keys are checked as ours are: with line, column and the nearest known key', () => {
  const problems = problemsIn(
    configOf('relative', '{tpye}', '    durabilty: sync\n    concurrency: 0\n'),
    destinationTypes,
  );
  expect(problems).toMatchObject([
    { line: 4, column: 13, key: 'destinations.ledger.folder', message: 'expected an absolute path' },
    {
      line: 5,
      column: 11,
      key: 'destinations.ledger.file',
      message: expect.stringContaining('did you mean {type}?, at character 1') as string,
    },
    {
      line: 6,
      column: 5,
      key: 'destinations.ledger.durabilty',
      message: 'unknown key; did you mean durability?',
    },
    { line: 7, key: 'destinations.ledger.concurrency' },
  ]);
  const [unknown] = problemsIn(configOf('/x').replace('type: file', 'type: fiel'), destinationTypes);
  expect(unknown).toMatchObject({
    line: 3,
    message: expect.stringMatching(/expected http or .*"fiel"; did you mean file\?/) as string,
  });
});

test('config explain says what a sample event becomes, and its own defaults hold', () => {
  const { config } = parseConfig(configOf('/tmp', '{type}-{$.region}'), { destinationTypes });
  const { text, destinations } = explainConfig(config, {}, withOwnTypes(destinationTypes));
  expect(text).toContain('  for example    order.created-‹$.region›\n');
  expect(text).toContain('200 at once');
  expect(destinations[0]).toMatchObject({ type: 'file', folder: '/tmp' });
});

test('the command line knows it by its module, and says what its server lacks', async () => {
  const folder = await folderWith({ 'outbox.yaml': configOf('/nowhere/at/all', 'all') });
  const env = { OUTBOX_DESTINATION_TYPES: module };
  const checked = await offline(['config', 'check', '--online', '--json'], {
    cwd: folder,
    env: { ...env, OUTBOX_DATABASE_URL: '' },
  });
  expect(json(checked, 1)).toMatchObject({
    ok: false,
    online: [{ destination: 'ledger', level: 'fail', found: 'there is no folder /nowhere/at/all' }],
  });
  const without = await offline(['config', 'check'], { cwd: folder, env: { OUTBOX_DATABASE_URL: '' } });
  expect(without.code).toBe(2);
  expect(without.stderr).toContain('found the text "file"');
  const lost = await offline(['config', 'check'], {
    cwd: folder,
    env: { OUTBOX_DESTINATION_TYPES: './nothing.mjs' },
  });
  expect(lost.stderr).toContain(
    'error OUTBOX_DESTINATION_TYPE OUTBOX_DESTINATION_TYPES: ./nothing.mjs cannot be loaded',
  );
});

test('run delivers by it when it is named, and refuses to start without it', async () => {
  const database = await createTestDatabase();
  const folder = await folderWith();
  const text = `name: ${database.name}\n${configOf(folder, 'all')}`;
  await applyConfig(database.pool, parseConfig(text, { destinationTypes }).config, text, 'test');
  const refused = await runCli(['run'], { databaseUrl: database.url });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(
    'OUTBOX_DESTINATION_TYPE this process cannot send to ledger: there is no destination type "file"',
  );
  spawnRun({ databaseUrl: database.url, env: { OUTBOX_DESTINATION_TYPES: module } });
  const { id } = await enqueue(database.pool, { type: 'a', payload: {} }, { ownTransaction: true });
  await eventually(async () => expect(await linesOf(folder, 'all')).toMatchObject([{ id }]), {
    timeout: 30_000,
  });
});

test('a jsonpath that PostgreSQL does not take refuses the configuration as a whole', async () => {
  const database = await createTestDatabase();
  const text = `name: ${database.name}\n${configOf('/tmp', '{$.a ? (@ >}')}`;
  const { config } = parseConfig(text, { destinationTypes });
  await expect(applyConfig(database.pool, config, text, 'test')).rejects.toMatchObject({
    code: 'OUTBOX_CONFIG_INVALID',
    message: expect.stringContaining('is no jsonpath') as string,
  });
  const folder = await folderWith({ 'outbox.yaml': text });
  const checked = await runCli(['config', 'check'], {
    databaseUrl: database.url,
    cwd: folder,
    env: { OUTBOX_DESTINATION_TYPES: module },
  });
  expect(checked.stderr).toMatch(
    /outbox\.yaml:6:11 {2}destinations\.ledger\.file: expected a jsonpath that PostgreSQL takes/,
  );
});

test('what is no type, or takes a name or key that is taken, is refused with words', () => {
  const refusal = (type: unknown): string => {
    try {
      withOwnTypes([type as DestinationType]);
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  expect(refusal({ ...fileType, name: 'http' })).toBe('there are two destination types of the name http');
  expect(refusal({ ...fileType, name: 'My Type' })).toContain('1 to 63 of a-z');
  expect(refusal({ ...fileType, keys: { ...fileType.keys, retry: fileType.keys['file'] } })).toContain(
    'has the key retry already',
  );
  expect(refusal({ ...fileType, open: undefined })).toBe('destination type file: open is not a function');
  expect(refusal(null)).toContain('is an object');
});
