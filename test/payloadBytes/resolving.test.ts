/** Dead letters of bytes: shown, edited, redirected, from the command line and by signal. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { enqueue, type NewEvent } from '../../src/index.ts';
import { signals, updates } from '../../workflows/contract.ts';
import { expectClean, folderWith, json } from '../cli/commands.ts';
import { episodes, openStage, settled, statusOf, type Stage } from '../resolve/stage.ts';
import { eventually, runCli } from '../support/index.ts';

/** What billing refuses, as its script finds no JSON in it; see askedFor in the stage. */
const wrong = Buffer.from([0, 1, 2, 0x7f, 0xff, 0x41, 0x1b]);
const right = Buffer.from([0xfe, 0xed, 0, 0xff]);
const refusing = '{"answer": 422}';
let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

const outbox = (...args: readonly string[]) => runCli(args, { databaseUrl: stage.database.url });

interface Parked {
  readonly id: string;
  readonly letter: string;
  readonly workflowId: string;
}

/** A dead letter: its first 422 is asked for by what it holds. */
async function park(event: object): Promise<Parked> {
  const { id } = await enqueue(
    stage.database.pool,
    { type: 'order.created', key: 'k', ...event } as NewEvent,
    { ownTransaction: true },
  );
  // Its row names the workflow a moment before the batch's workflow starts it.
  const workflowId = await eventually(async () => {
    const [row] = await stage.database.rows<{ workflow_id: string }>(
      `select b.workflow_id from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
       where d.event_id = $1 and d.state = 'parked' and not b.active and b.single`,
      [id],
    );
    expect(row).toBeDefined();
    return row?.workflow_id ?? '';
  });
  await eventually(() => statusOf(stage.client, workflowId));
  return { id, letter: await letterOf(id), workflowId };
}

async function letterOf(eventId: string): Promise<string> {
  const open = (await episodes(stage.database, eventId)).filter(({ resolution }) => resolution === null);
  expect(open).toHaveLength(1);
  return open[0]?.id ?? '';
}

const parkBytes = (bytes: Uint8Array = Buffer.from(refusing)) =>
  park({ payloadBytes: bytes, contentType: 'application/avro' });
const bodiesOf = (id: string) => stage.billing.of(id).map(({ body }) => body);

test('the first bytes are shown in hexadecimal and as text, all of them with --json', async () => {
  const bytes = Buffer.from('{"é": "\\u001b", "answer": 422}'.padEnd(156));
  const { id, letter } = await parkBytes(bytes);
  for (const args of [
    ['dlq', 'show', letter],
    ['events', 'show', id],
  ]) {
    const shown = await outbox(...args);
    expectClean(shown);
    expect(shown.stdout).toContain('157 bytes, application/avro');
    expect(shown.stdout).toContain(
      '00000000  7b 22 c3 a9 22 3a 20 22 5c 75 30 30 31 62 22 2c  {"..": "\\u001b",\n',
    );
    expect(shown.stdout).toContain('--json has all of them');
    expect(shown.stdout).not.toContain('00000080');
    expect(json<{ event: object }>(await outbox(...args, '--json')).event).toMatchObject({
      payloadText: null,
      payloadBase64: bytes.toString('base64'),
      contentType: 'application/avro',
    });
  }
});

test('edited in base64, from a file and from its headers alone, it goes out under new keys', async () => {
  const folder = await folderWith({ 'unused.txt': '' });
  const { id, letter } = await parkBytes();
  await writeFile(join(folder, 'still-wrong.bin'), Buffer.from(refusing.padEnd(20)));
  json(await outbox('dlq', 'edit', letter, '--payload-file', join(folder, 'still-wrong.bin'), '--json'));
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(2));
  const again = await letterOf(id);
  expect((await outbox('dlq', 'show', again)).stdout).toContain('20 bytes, application/avro');
  json(
    await outbox('dlq', 'edit', again, '--payload-base64', right.toString('base64'), '-H', 'x=y', '--json'),
  );
  await settled(stage.database, [id]);
  expect(bodiesOf(id)).toEqual([Buffer.from(refusing), Buffer.from(refusing.padEnd(20)), right]);
  expect(stage.billing.of(id).map((request) => [request.id, request.headers['content-type']])).toEqual([
    [id, 'application/avro'],
    [`${id}:r2`, 'application/avro'],
    [`${id}:r3`, 'application/avro'],
  ]);
  expect((await outbox('events', 'show', id)).stdout).toMatch(
    /revision 3 for billing by .*: 4 bytes: fe ed 00 ff\n/,
  );
});

test('headers can be edited alone, with the bytes as they were', async () => {
  const { id, letter } = await parkBytes();
  stage.heal(id);
  json(await outbox('dlq', 'edit', letter, '-H', 'x=y', '--json'));
  await settled(stage.database, [id]);
  expect(bodiesOf(id)).toEqual([Buffer.from(refusing), Buffer.from(refusing)]);
  expect(stage.billing.of(id)[1]?.headers['x']).toBe('y');
});

test('a signal and an update edit bytes in base64', async () => {
  const one = await parkBytes();
  await stage.client.workflow
    .getHandle(one.workflowId)
    .signal(signals.edit, { payloadBase64: right.toString('base64'), actor: 'ada' });
  await settled(stage.database, [one.id]);
  expect(bodiesOf(one.id)).toEqual([Buffer.from(refusing), right]);
  const other = await parkBytes();
  const answer = await stage.client.workflow
    .getHandle(other.workflowId)
    .executeUpdate(updates.edit, { args: [{ payloadBase64: '' }] });
  expect(answer).toMatchObject({ outcome: 'done' });
  await settled(stage.database, [other.id]);
  expect(bodiesOf(other.id)[1]).toHaveLength(0);
});

test('what an event is stays: JSON for bytes, bytes for JSON and what is no base64 are refused, and nothing is sent', async () => {
  const bytes = await parkBytes();
  const plain = await park({ payload: { answer: 422 } });
  const edit = (letter: Parked, input: object) =>
    stage.client.workflow.getHandle(letter.workflowId).executeUpdate(updates.edit, { args: [input] });
  const refused = (text: string) => ({
    outcome: 'refused',
    message: expect.stringContaining(text) as string,
  });
  expect(await edit(bytes, { payload: { a: 1 } })).toMatchObject(
    refused('its payload is bytes (application/avro)'),
  );
  expect(await edit(plain, { payloadBase64: 'AAAA' })).toMatchObject(
    refused('its payload is JSON (application/json)'),
  );
  expect(await edit(bytes, { payload: 1, payloadBase64: 'AAAA' })).toMatchObject(refused('not both'));
  expect(await edit(bytes, { payloadBase64: 'AAA' })).toMatchObject(
    refused('"payloadBase64" is a text in base64'),
  );
  expect(await edit(bytes, { payloadBase64: 7 })).toMatchObject(
    refused('"payloadBase64" is a text in base64'),
  );
  expect(await edit(bytes, {})).toMatchObject(refused('payloadBase64'));
  const failed = await outbox('dlq', 'edit', bytes.letter, '--payload', '{}');
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain('its payload is bytes (application/avro)');
  expect((await outbox('dlq', 'edit', plain.letter, '--payload-base64', 'AAAA')).stderr).toContain(
    'edit it as JSON',
  );
  expect(bodiesOf(bytes.id)).toHaveLength(1);
  expect(bodiesOf(plain.id)).toHaveLength(1);
  expect(
    await stage.database.rows('select 1 from outbox.revisions where event_id in ($1, $2)', [
      bytes.id,
      plain.id,
    ]),
  ).toEqual([]);
});

test('a text that was written as a JSON string can be edited as either', async () => {
  const asText = await park({ payload: refusing, contentType: 'text/csv' });
  expect(bodiesOf(asText.id)).toEqual([Buffer.from(refusing)]);
  json(await outbox('dlq', 'edit', asText.letter, '--payload', '"a,b\\n"', '--json'));
  await settled(stage.database, [asText.id]);
  expect(bodiesOf(asText.id)[1]?.toString()).toBe('a,b\n');
  const asBytes = await park({ payload: refusing, contentType: 'text/csv' });
  json(await outbox('dlq', 'edit', asBytes.letter, '--payload-base64', right.toString('base64'), '--json'));
  await settled(stage.database, [asBytes.id]);
  expect(bodiesOf(asBytes.id)[1]).toEqual(right);
});

test('redirected after an edit, the edited bytes go to the other destination', async () => {
  const { id, workflowId } = await parkBytes();
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal(signals.edit, { payloadBase64: Buffer.from(`${refusing} `).toString('base64') });
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(2));
  await handle.signal(signals.redirect, { to: 'spare' });
  await eventually(() =>
    expect(stage.spare.of(id).map(({ body }) => body.toString())).toEqual([`${refusing} `]),
  );
});

test.each<[readonly string[], string]>([
  [
    ['dlq', 'edit', '1', '--payload', '{}', '--payload-base64', 'AAAA'],
    'give --payload or --payload-base64, not both',
  ],
  [['dlq', 'edit', '1', '--payload-base64', 'A A'], '--payload-base64 is not base64'],
  [['dlq', 'edit', '1', '--payload-file', '/nowhere/at.all'], 'cannot be read (ENOENT)'],
  [['send', 'a', '--payload-base64', 'AAAA'], 'bytes need a content type'],
  [['send', 'a', '--payload-base64', 'AAAA', '--file', 'x'], 'give --file or --payload-base64, not both'],
])('%j is wrong use', async (args, message) => {
  const ended = await outbox(...args);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain(message);
});

test('send writes bytes of a file, of standard input and in base64', async () => {
  const folder = await folderWith({ 'unused.txt': '' });
  await writeFile(join(folder, 'event.bin'), wrong);
  const type = ['--content-type', 'application/avro', '--json'];
  for (const args of [
    ['--payload-file', join(folder, 'event.bin')],
    ['--payload-base64', wrong.toString('base64')],
  ]) {
    const { id } = json<{ id: string }>(await outbox('send', 'elsewhere.created', ...args, ...type));
    expect(await stage.database.rows('select payload_bytes from outbox.events where id = $1', [id])).toEqual([
      { payload_bytes: wrong },
    ]);
  }
});
