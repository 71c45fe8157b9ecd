import { beforeAll, describe, expect, test } from 'vitest';
import {
  hashPayload,
  parseMessageId,
  processOnce,
  type OnceContext,
  type OnRevision,
} from '../../src/inbox/index.ts';
import { consumerDatabase, effect, uuid7, type ConsumerDatabase } from './fixtures.ts';

let database: ConsumerDatabase;
beforeAll(async () => {
  database = await consumerDatabase();
});

/** In a transaction of its own; the effect names message and revision. */
async function consume(
  messageId: string,
  options: { onRevision?: OnRevision; payloadHash?: string; revision?: number } = {},
) {
  return database.session(async (client) => {
    await client.query('begin');
    const done = await processOnce(
      client,
      { consumer: 'billing', messageId, ...options },
      async (context) => {
        await effect(client, `${context.messageId} ${context.revision}`);
        return context;
      },
    );
    await client.query('commit');
    return done;
  });
}

const effectsOf = async (id: string): Promise<string[]> =>
  (await database.effects()).filter((each) => each.startsWith(id)).map((each) => each.slice(id.length + 1));

test('the id of an edited event is the event and a revision; ids of others are left whole', () => {
  const id = uuid7();
  expect(parseMessageId(id)).toEqual({ messageId: id, revision: 1 });
  expect(parseMessageId(`${id}:r2`)).toEqual({ messageId: id, revision: 2 });
  expect(parseMessageId(`${id}:r12`)).toEqual({ messageId: id, revision: 12 });
  for (const other of [`${id}:r0`, `${id}:r`, `${id}:r2x`, `${id}:r9999999999`, 'msg_1:r2', ':r2', ''])
    expect(parseMessageId(other)).toEqual({ messageId: other, revision: 1 });
});

test('an edited event whose original was never applied is processed as any other', async () => {
  const id = uuid7();
  expect(await consume(`${id}:r2`)).toMatchObject({ outcome: 'processed', replaces: null });
  expect(await consume(`${id}:r2`)).toMatchObject({ outcome: 'duplicate', before: { revision: 2 } });
  expect(await effectsOf(id)).toEqual(['2']);
});

test('the original that comes late is superseded: acknowledged, and not applied', async () => {
  const id = uuid7();
  await consume(`${id}:r2`);
  expect(await consume(id)).toMatchObject({ outcome: 'superseded', before: { revision: 2 } });
  expect(await effectsOf(id)).toEqual(['2']);
});

describe('an edited event whose original was applied', () => {
  test('is refused by default, and can be taken later', async () => {
    const id = uuid7();
    await consume(id);
    await expect(consume(`${id}:r2`)).rejects.toMatchObject({
      code: 'OUTBOX_INBOX_REVISION',
      message: expect.stringMatching(/revision 2 of .* revision 1 was applied at 20/) as string,
    });
    expect(await effectsOf(id)).toEqual(['1']);
    expect(await consume(`${id}:r2`, { onRevision: 'apply' })).toMatchObject({ outcome: 'processed' });
  });

  test('with apply the handler is told what was applied before', async () => {
    const id = uuid7();
    const payloadHash = hashPayload('{"total": 1}');
    await consume(id, { payloadHash });
    const done = await consume(`${id}:r2`, { onRevision: 'apply', payloadHash: hashPayload('{"total": 2}') });
    const { replaces } = (done as { result: OnceContext }).result;
    expect(replaces).toMatchObject({ revision: 1, payloadHash });
    expect(done).toMatchObject({ outcome: 'processed', replaces });
    expect(await consume(`${id}:r4`, { onRevision: 'apply' })).toMatchObject({ replaces: { revision: 2 } });
    expect(await consume(`${id}:r3`, { onRevision: 'apply' })).toMatchObject({ outcome: 'superseded' });
    expect(await effectsOf(id)).toEqual(['1', '2', '4']);
  });

  test('with apply, and rolled back, leaves the original as what was applied', async () => {
    const id = uuid7();
    await consume(id);
    await database.session(async (client) => {
      await client.query('begin');
      await processOnce(client, { consumer: 'billing', messageId: `${id}:r2`, onRevision: 'apply' }, () => 1);
    });
    expect(await consume(`${id}:r2`, { onRevision: 'apply' })).toMatchObject({ replaces: { revision: 1 } });
  });

  test('with skip is acknowledged, never applied, however often it comes', async () => {
    const id = uuid7();
    await consume(id);
    for (let time = 0; time < 2; time++)
      expect(await consume(`${id}:r2`, { onRevision: 'skip' })).toMatchObject({
        outcome: 'skipped',
        before: { revision: 1 },
      });
    expect(await consume(id)).toMatchObject({ outcome: 'duplicate' });
    expect(await effectsOf(id)).toEqual(['1']);
  });

  test('is applied once by twins', async () => {
    const id = uuid7();
    await consume(id);
    const twins = await Promise.all(
      Array.from({ length: 6 }, () => consume(`${id}:r2`, { onRevision: 'apply' })),
    );
    expect(twins.map(({ outcome }) => outcome).sort()).toEqual([
      ...Array<string>(5).fill('duplicate'),
      'processed',
    ]);
    expect(await effectsOf(id)).toEqual(['1', '2']);
  });
});

test('the same id and revision with another payload is refused; without a hash nothing is compared', async () => {
  const id = uuid7();
  const payloadHash = hashPayload('{"total": 1}');
  await consume(id, { payloadHash });
  expect(await consume(id, { payloadHash })).toMatchObject({ outcome: 'duplicate', before: { payloadHash } });
  expect(await consume(id)).toMatchObject({ outcome: 'duplicate' });
  await expect(consume(id, { payloadHash: hashPayload('{"total": 2}') })).rejects.toMatchObject({
    code: 'OUTBOX_INBOX_CONFLICT',
  });
  expect(await effectsOf(id)).toEqual(['1']);
});

test('a revision can be given for ids of others', async () => {
  const id = `msg_${uuid7()}`;
  await consume(id, { revision: 3 });
  expect(await consume(id, { revision: 2 })).toMatchObject({ outcome: 'superseded' });
  await expect(consume(id, { revision: 4 })).rejects.toMatchObject({ code: 'OUTBOX_INBOX_REVISION' });
});
