import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClean, folderWith, jsonError, offline } from './commands.ts';
import { onlyWithEverything } from '../support/everything.ts';

const id = '01890a5d-ac96-774b-bcce-b302099a8057';

/** Wrong use that is seen before any server is asked. */
const mistakes: [what: string, args: string[], says: RegExp][] = [
  ['no command', [], /Usage: temporal-outbox/],
  ['an unknown command', ['snd'], /unknown command 'snd'.*Did you mean send\?/s],
  ['an unknown subcommand', ['dlq', 'lst'], /unknown command 'lst'/],
  ['dlq without a subcommand', ['dlq'], /Usage: temporal-outbox dlq/],
  ['an unknown flag', ['status', '--verbose'], /unknown option '--verbose'/],
  ['an argument too many', ['status', 'now'], /too many arguments/],
  ['a missing id', ['dlq', 'show'], /missing required argument 'id'/],
  ['an id that is a word', ['dlq', 'show', 'abc'], /number of a dead letter/],
  ['an id of zero', ['dlq', 'show', '0'], /number of a dead letter/],
  ['a negative id', ['dlq', 'show', '--', '-1'], /number of a dead letter/],
  ['an id beyond what a number holds', ['dlq', 'show', '99999999999999999999'], /number of a dead letter/],
  ['an id with a tail', ['dlq', 'retry', '1;drop'], /number of a dead letter/],
  ['an event id that is none', ['dlq', 'list', '--event', '7'], /event id \(a UUID\)/],
  ['a limit of 0', ['dlq', 'list', '--limit', '0'], /whole number from 1 to 1000/],
  ['a limit of -1', ['dlq', 'list', '--limit', '-1'], /whole number from 1 to 1000/],
  ['a limit of 1e12', ['dlq', 'list', '--limit', '1e12'], /whole number from 1 to 1000/],
  ['a limit of a trillion', ['dlq', 'list', '--limit', '1000000000000'], /whole number from 1 to 1000/],
  ['a limit of 1.5', ['dlq', 'list', '--limit', '1.5'], /whole number from 1 to 1000/],
  ['a status that does not exist', ['dlq', 'list', '--status', 'stuck'], /open, resolved, all/],
  ['a reason that is none', ['dlq', 'list', '--parked-for', 'permanant'], /one of permanent, attempts-/],
  ['a cursor of somebody else', ['dlq', 'list', '--cursor', 'abc'], /--cursor is not one/],
  ['a tampered cursor', ['dlq', 'list', '--cursor', 'MS45OTk5OS4wMDAwMDAwMDAwMDAwMDAw'], /other filters/],
  ['a destination that cannot be one', ['dlq', 'list', '--destination', "x'; --"], /name of a destination/],
  ['retry of nothing', ['dlq', 'retry'], /retry what\?.*Usage: temporal-outbox dlq retry/s],
  ['discard of nothing', ['dlq', 'discard', '--yes'], /discard what\?/],
  ['ids and a filter', ['dlq', 'retry', '1', '--destination', 'billing'], /not both/],
  ['--all and a filter', ['dlq', 'retry', '--all', '--type', 'x', '--yes'], /contradict/],
  ['several discarded without a reason', ['dlq', 'discard', '1', '2'], /say why/],
  ['edit of nothing', ['dlq', 'edit', '--yes'], /edit what\?/],
  ['an edit of many without a patch', ['dlq', 'edit', '--all'], /edit how\?/],
  ['a payload for many', ['dlq', 'edit', '--all', '--payload', '1'], /for one letter/],
  ['a patch for an id', ['dlq', 'edit', '1', '--patch', '[]'], /--patch belongs to a filter/],
  ['redirect of nothing', ['dlq', 'redirect', '--to', 'audit'], /redirect what\?/],
  ['a redirect to nowhere', ['dlq', 'redirect', '1'], /required option '--to/],
  ['an edit that changes nothing', ['dlq', 'edit', '1'], /nothing to change/],
  ['an edit that is not JSON', ['dlq', 'edit', '1', '--payload', '{total: 1}'], /--payload is not JSON/],
  ['an edit that is empty', ['dlq', 'edit', '1', '--payload', ''], /--payload is empty/],
  [
    'an edit file that is not there',
    ['dlq', 'edit', '1', '--file', 'nowhere.json'],
    /cannot be read \(ENOENT\)/,
  ],
  ['an edit file that is a folder', ['dlq', 'edit', '1', '--file', '.'], /cannot be read \(EISDIR\)/],
  ['a header without a value', ['dlq', 'edit', '1', '--header', 'x-a'], /name=value/],
  ['a reason that is too long', ['dlq', 'retry', '1', '--reason', 'x'.repeat(1001)], /1 to 1000 characters/],
  ['a timeout without a unit', ['dlq', 'retry', '1', '--timeout', '5'], /a duration such as/],
  ['an event without a type', ['send'], /missing required argument 'type'/],
  ['an event without a payload', ['send', 'a.b', '--payload', ''], /--payload is empty/],
  ['a payload that is not JSON', ['send', 'a.b', '--payload', 'nope'], /is not JSON/],
  ['two payloads', ['send', 'a.b', '--payload', '1', '--file', 'x'], /not both/],
  ['an event id that is not a UUID', ['send', 'a.b', '--payload', '1', '--id', '7'], /event id/],
  [
    'a moment without a zone',
    ['send', 'a', '-p', '1', '--deliver-at', '2030-01-01T00:00:00'],
    /Expected a moment/,
  ],
  [
    'a day that is none',
    ['send', 'a', '-p', '1', '--deliver-at', '2030-02-30T00:00:00Z'],
    /Expected a moment/,
  ],
  [
    'a moment in the year 10000',
    ['send', 'a', '-p', '1', '--deliver-at', '+010000-01-01T00:00:00Z'],
    /Expected a moment/,
  ],
  ['a moment that is a word', ['send', 'a', '-p', '1', '--deliver-at', 'tomorrow'], /Expected a moment/],
  ['a wait without a unit', ['run', '--wait', '60'], /a duration such as/],
  ['a log level that does not exist', ['run', '--log-level', 'loud'], /debug, info, warn, error/],
  ['a configuration that is not there', ['config', 'check', '--config', 'nowhere.yaml'], /does not exist/],
];

/** A process each: some of every kind are enough every day. */
const daily = 3;

test.for(mistakes.map((mistake, index) => [...mistake, index] as const))(
  '%s ends with usage on stderr and exit code 2',
  async ([, args, says, index], context) => {
    if (index % daily !== 0) onlyWithEverything(context, 'a sibling is shown');
    const ended = await offline(args, { input: '' });
    expect(ended.stderr).toMatch(says);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expectClean(ended);
  },
);

test('a mistake under --json is one line of JSON on stderr', async () => {
  const parsed = await offline(['dlq', 'list', '--limit', '0', '--json']);
  expect(jsonError(parsed)).toMatchObject({ code: 'OUTBOX_USAGE' });
  expect(parsed.code).toBe(2);
  expect(parsed.stderr.trim().split('\n')).toHaveLength(1);
  const checked = await offline(['dlq', 'retry', '--json']);
  expect(jsonError(checked)).toMatchObject({ code: 'OUTBOX_USAGE', message: 'retry what?' });
});

test('a file that is too large, not UTF-8 or binary is refused before a server is asked', async () => {
  const cwd = await folderWith({ 'large.json': `"${'x'.repeat(4 * 1024 * 1024)}"`, 'empty.json': '' });
  for (const [file, says] of [
    ['large.json', /larger than/],
    ['empty.json', /is empty/],
    [process.execPath, /larger than|not UTF-8/],
  ] as const) {
    const ended = await offline(['dlq', 'edit', '1', '--file', file], { cwd });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(says);
  }
});

test('a missing or malformed OUTBOX_DATABASE_URL is wrong use, and never repeated', async () => {
  for (const databaseUrl of [
    '',
    'mysql://u:s3cr3t-pass@h/db',
    'postgres://u:s3cr3t-pass@h:port/db',
    's3cr3t-pass',
  ]) {
    const ended = await offline(['status'], { databaseUrl });
    expect(ended.stderr).toContain('OUTBOX_DATABASE_URL is not');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expectClean(ended);
  }
});

test('help goes to stdout with exit code 0, and loads neither PostgreSQL nor Temporal', async () => {
  const loaded = await folderWith();
  for (const args of [['--help'], ['dlq', '--help'], ['dlq', 'retry', '--help'], ['help', 'send']]) {
    // Node lists there every script that it loaded.
    const ended = await offline(args, { env: { NODE_V8_COVERAGE: loaded } });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^Usage: temporal-outbox/);
  }
  const lists = await Promise.all(
    (await readdir(loaded)).map((name) => readFile(join(loaded, name), 'utf8')),
  );
  expect(lists).toHaveLength(4);
  expect(lists.join('')).toContain('/node_modules/commander/');
  expect(lists.join('')).not.toMatch(/\/node_modules\/(pg|@temporalio|pino|yaml|zod)\//);
  expect((await offline(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('an id that is fine reaches the server, so the mistakes above were the mistakes', async () => {
  const ended = await offline(['dlq', 'list', '--event', id, '--limit', '1000']);
  expect(ended).toMatchObject({ code: 3, stdout: '' });
});
