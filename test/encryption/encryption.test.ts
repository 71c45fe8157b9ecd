/** Encrypted payloads over the real servers: what goes out, what is kept, who can read it, and what waits. */
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import {
  commitMessage,
  createRedrives,
  encryptEvent,
  encryptionKeys,
  enqueue,
  prepareMessage,
  type NewEvent,
} from '../../src/index.ts';
import { prepareRevision } from '../../src/storage/resolutions.ts';
import { ask } from '../dashboard/stage.ts';
import { atEnd, eventually, runCli, startRun, temporalClient } from '../support/index.ts';
import { historiesWith, openStage, parked, tablesWith, type Stage } from './stage.ts';

let stage: Stage;
let dashboard: string;
const marker = `marker-${randomUUID()}`;
const keyFile = join(tmpdir(), `outbox-key-${randomUUID()}`);

beforeAll(async () => {
  stage = await openStage();
  await stage.config('k1', `, late: 'file:${keyFile}'`);
  const running = await startRun({
    databaseUrl: stage.database.url,
    env: stage.env,
    checkBacks: { shop: () => Promise.resolve('unknown') },
  });
  dashboard = `${running.endpoints['dashboard'] ?? ''}/v1`;
});

async function write(event: NewEvent, encryption = stage.keys('k1')): Promise<string> {
  return (await enqueue(stage.database.pool, event, { ownTransaction: true, encryption })).id;
}
const bodiesOf = (id: string) => stage.receiver.of(id).map(({ body }) => body.toString());
const outbox = (args: readonly string[], env: Readonly<Record<string, string>> = stage.env) =>
  runCli(args, { databaseUrl: stage.database.url, env });

test('what is encrypted goes out as it was, is edited under the newest key, and stands in plain text nowhere', async () => {
  const total = '12345678901234567890.10';
  const refused = await write({
    type: 'order.created',
    key: 'o-1',
    payloadText: `{"name":"${marker}","total":${total},"answer":422}`,
  });
  const bytes = await write({
    type: 'order.bytes',
    contentType: 'application/avro',
    payloadBytes: Buffer.from(marker),
  });
  const half = await prepareMessage(
    stage.database.pool,
    await encryptEvent({ producer: 'shop', type: 'order.half', payload: { name: marker } }, stage.keys('k1')),
  );
  await commitMessage(stage.database.pool, half.id);
  const control = `control-${randomUUID()}`;
  const plain = (
    await enqueue(
      stage.database.pool,
      { type: 'order.plain', payload: { name: control } },
      { ownTransaction: true },
    )
  ).id;
  const [letter] = await parked(stage.database, refused);
  await eventually(() => {
    expect(bodiesOf(bytes)).toEqual([marker]);
    expect(bodiesOf(half.id)).toEqual([`{"name":"${marker}"}`]);
    expect(bodiesOf(plain)).toEqual([`{"name": "${control}"}`]);
  });
  expect(bodiesOf(refused)).toEqual([`{"name":"${marker}","total":${total},"answer":422}`]);
  expect(stage.receiver.of(refused)[0]?.headers['content-type']).toBe('application/json');
  expect(stage.receiver.of(bytes)[0]?.headers['content-type']).toBe('application/avro');

  // Shown where the key is, and as encrypted where it is not.
  const shown = await outbox(['dlq', 'show', String(letter?.id)]);
  expect(shown.stdout).toContain(marker);
  expect(shown.stdout).toContain('encrypted with key k1');
  const hidden = await outbox(['dlq', 'show', String(letter?.id)], {});
  expect(hidden.stdout).toContain('there is no key k1 here');
  expect(hidden.stdout).not.toContain(marker);
  const cannot = await outbox(['dlq', 'edit', String(letter?.id), '--payload', '{}'], {});
  expect(cannot.stderr).toContain('OUTBOX_KEY_MISSING');

  // Rotation: what is edited from now on is encrypted with the new key, what was before still opens.
  await stage.config('k2', `, late: 'file:${keyFile}'`);
  const edited = await outbox([
    ...['dlq', 'edit', String(letter?.id), '--payload'],
    `{"name":"${marker}-edited","total":${total},"answer":204}`,
  ]);
  expect(edited.code, edited.stderr).toBe(0);
  await eventually(() =>
    expect(stage.receiver.requests.find(({ id }) => id === `${refused}:r2`)?.body.toString()).toBe(
      `{"name":"${marker}-edited","total":${total},"answer":204}`,
    ),
  );
  expect(
    await stage.database.rows(`select payload ->> 'kid' as kid from outbox.revisions where event_id = $1`, [
      refused,
    ]),
  ).toEqual([{ kid: 'k2' }]);

  expect(await tablesWith(stage.database, marker)).toEqual([]);
  const histories = await historiesWith(stage.database, marker);
  expect(histories.found).toEqual([]);
  // The search finds what is there: an event that is not encrypted.
  expect(await tablesWith(stage.database, control)).toHaveLength(1);
  expect(histories.searched).toBeGreaterThan(1);
});

test('send encrypts as the services do, where it has the key, and writes plain text only where told to', async () => {
  const send = (...args: string[]) =>
    outbox(['send', 'order.sent', '--payload', `{"name":"${marker}"}`, '--json', ...args]);
  const sent = await send();
  const { id, encrypted } = JSON.parse(sent.stdout) as { id: string; encrypted: boolean };
  expect(encrypted).toBe(true);
  await eventually(() => expect(bodiesOf(id)).toEqual([`{"name":"${marker}"}`]));
  expect(await tablesWith(stage.database, marker)).toEqual([]);

  const without = await outbox(['send', 'order.sent', '--payload', '{}'], {});
  expect(without.stderr).toContain('OUTBOX_KEY_MISSING');
  const plain = await outbox(['send', 'order.sent', '--payload', '{}', '--plain', '--json'], {});
  expect(JSON.parse(plain.stdout)).toMatchObject({ inserted: true, encrypted: false });
});

test('a repeat of an event under its own name is one event', async () => {
  const event = { type: 'order.twice', dedupKey: `d-${randomUUID()}`, payload: { name: marker } };
  const [first, again] = [await write(event), await write(event)];
  expect(again).toBe(first);
  await expect(write({ ...event, payload: { name: 'other' } })).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
  });
});

test('without its key an event waits, uncharged, and goes once the key is there; its neighbours go at once', async () => {
  const key = randomBytes(32);
  const late = encryptionKeys({ current: 'late', keys: { late: key } });
  const waiting = await write({ type: 'order.late', payload: { name: 'late' } }, late);
  const neighbour = await write({ type: 'order.late', payload: { name: 'neighbour' } });
  await eventually(async () => {
    expect(
      await stage.database.rows(
        'select state, attempts, tries > 0 as tried from outbox.deliveries where event_id = $1',
        [waiting],
      ),
    ).toEqual([{ state: 'retry', attempts: 0, tried: true }]);
  });
  await eventually(() => expect(bodiesOf(neighbour)).toEqual(['{"name":"neighbour"}']));
  const story = await outbox(['events', 'show', waiting]);
  expect(story.stdout).toContain('There is no key late here: it waits');
  expect((await outbox(['doctor'])).stdout).toContain('late, which 1 payload uses: its value is not here');
  await writeFile(keyFile, key.toString('base64'));
  atEnd(() => writeFile(keyFile, ''));
  await eventually(() => expect(bodiesOf(waiting)).toEqual(['{"name":"late"}']), { timeout: 60_000 });
});

test('what was changed, or meets another key of that name, is never sent and waits for a person', async () => {
  const wrong = encryptionKeys({ current: 'k1', keys: { k1: randomBytes(32) } });
  const other = await write({ type: 'order.other', payload: { name: 'other' } }, wrong);
  const { pool } = stage.database;
  const client = await pool.connect();
  await client.query('begin');
  const { id: tampered } = await enqueue(
    client,
    { type: 'order.tampered', payload: { n: 1 } },
    { encryption: stage.keys('k1') },
  );
  await client.query(
    `update outbox.events set payload = jsonb_set(payload, '{data}', to_jsonb(encode('tampered payload', 'base64'))) where id = $1`,
    [tampered],
  );
  await client.query('commit');
  client.release();
  const rows = await parked(stage.database, other, tampered);
  expect(rows.map(({ last_error_class }) => last_error_class)).toEqual([
    'payload-unreadable',
    'payload-unreadable',
  ]);
  expect([...bodiesOf(other), ...bodiesOf(tampered)]).toEqual([]);
});

test('what would have to look into it is refused, and plain text never takes its place', async () => {
  await expect(write({ type: 'choosy.one', payload: { total: 11 } })).rejects.toThrow(
    /'choosy.one' is encrypted, and the route to choosy where .*total.* needs to look into it/,
  );
  await expect(
    prepareMessage(
      stage.database.pool,
      await encryptEvent({ producer: 'shop', type: 'choosy.two', payload: {} }, stage.keys('k1')),
    ),
  ).rejects.toMatchObject({ code: 'OUTBOX_EVENT_INVALID' });
  await expect(
    stage.database.pool.query(
      `insert into outbox.events (type, payload, content_type) values ('order.x', '{"total": 1}', 'application/vnd.temporal-outbox.encrypted+json')`,
    ),
  ).rejects.toThrow('has an envelope as its payload');
  const id = await write({ type: 'order.edit', payload: { answer: 422 } });
  await parked(stage.database, id);
  const edit = {
    eventId: id,
    destination: 'billing',
    payload: '{"plain":1}',
    payloadBytes: null,
    headers: null,
  };
  await expect(prepareRevision(stage.database.pool, { ...edit, actor: 'ada', reason: null })).rejects.toThrow(
    'its payload is encrypted: edit it on the dashboard',
  );
});

test('on the dashboard it is read by who may look at payloads, and by nobody else', async () => {
  const id = await write({ type: 'order.seen', payload: { name: 'for eyes that may', answer: 422 } });
  const [letter] = await parked(stage.database, id);
  const bearer = async (...options: readonly string[]) => {
    const made = await outbox(['tokens', 'make', 'ada', '--json', ...options]);
    return { authorization: `Bearer ${(JSON.parse(made.stdout) as { token: string }).token}` };
  };
  const at = `${dashboard}/letters/${letter?.id}/payload`;
  const refused = await ask(at, { body: '{}', headers: await bearer('--role', 'admin') });
  expect(refused.status).toBe(403);
  const seen = await ask(at, { body: '{}', headers: await bearer('--payloads') });
  expect(seen.body).toMatchObject({
    payloadText: '{"name":"for eyes that may","answer":422}',
    contentType: 'application/json',
    encrypted: { kid: 'k1', problem: null },
  });
});

test('a redrive that edits passes encrypted letters over and says why, before and after; one that retries sends them', async () => {
  const mark = (type: string, answer: number) => ({ type, payload: { name: marker, answer } });
  const secret = await write(mark('order.sealed', 422));
  const { id: plain } = await enqueue(stage.database.pool, mark('order.sealed', 422), {
    ownTransaction: true,
  });
  await parked(stage.database, secret, plain);
  const redrives = createRedrives({
    db: stage.database.pool,
    name: stage.database.name,
    temporal: { client: await temporalClient(), address: 'the test server' },
  });
  const over = (id: number) =>
    eventually(async () => {
      const status = await redrives.status(id);
      expect(status.redrive.endedAt).not.toBeNull();
      return status;
    });
  const patch = '[{"op": "replace", "path": "/answer", "value": 204}]';
  const edit = await redrives.preview({ type: 'order.sealed', action: 'edit', patch }, { actor: 'ada' });
  expect(edit.sample.map(({ eventId, before, problem }) => [eventId, before === null, problem])).toEqual([
    [secret, true, 'its payload is encrypted'],
    [plain, false, null],
  ]);
  await redrives.start(edit.redrive.id, { actor: 'ada' });
  const { redrive, skipped } = await over(edit.redrive.id);
  expect(redrive).toMatchObject({ state: 'done', total: 2, done: 1, skipped: 1 });
  expect(skipped).toEqual([{ why: 'its payload is encrypted: no patch can look into it', letters: 1 }]);
  expect(bodiesOf(secret)).toHaveLength(1);

  const retry = await redrives.preview({ type: 'order.sealed' }, { actor: 'ada' });
  await redrives.start(retry.redrive.id, { actor: 'ada' });
  expect((await over(retry.redrive.id)).redrive).toMatchObject({ total: 1, acted: 1 });
  // Decrypted to be sent, and the same as before.
  const [before, after] = bodiesOf(secret);
  expect(after).toBe(before);
});
