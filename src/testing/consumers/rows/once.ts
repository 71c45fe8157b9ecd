/** Effects once, retries, parking, ids. */
import assert from 'node:assert/strict';
import { listParked, resolveParked, showParked } from '../../../inbox/parked.ts';
import { message, range, until, uuid7, type ConsumerPlay } from '../stage.ts';

const quick = { initialInterval: '50ms', backoffCoefficient: 1, maximumAttempts: 3, jitter: 0 };

export async function once(play: ConsumerPlay): Promise<void> {
  const messages = range(1, 200).map((n) => message({ n }));
  const bytes = Buffer.from([0, 255, 1, 254, 10]);
  const strange = { ...message({ n: 0 }), contentType: 'application/octet-stream', body: bytes };
  await play.queue.put(messages);
  const consumer = await play.consume();
  await play.queue.put([...messages.slice(0, 50), strange]);
  await until(async () => {
    assert.equal((await play.effects()).length, 201);
    assert.equal(await play.queue.left(), 0);
  });
  assert.deepEqual(
    (await play.effects()).toSorted((a, b) => a - b),
    [-1, ...range(1, 200)],
  );
  const [row] = await play.rows<{ body: Buffer }>('select body from effects where n = -1');
  assert.deepEqual(row?.body, bytes);
  assert.equal(consumer.counters.processed, 201);
  // What only looked acknowledged comes back once nobody has it.
  await consumer.stop();
  await until(async () => assert.equal(await play.queue.left(), 0));
}

export async function retries(play: ConsumerPlay): Promise<void> {
  await play.queue.put([message({ n: 1, fails: 2 }), ...range(2, 30).map((n) => message({ n }))]);
  const consumer = await play.consume({ retry: quick });
  await until(async () => {
    assert.deepEqual(
      (await play.effects()).toSorted((a, b) => a - b),
      range(1, 30),
    );
    assert.equal(await play.queue.left(), 0);
  });
  assert.equal(await play.calls(1), 3);
  assert.equal(consumer.counters.failed, 2);
  assert.equal(consumer.counters.parked, 0);
  assert.deepEqual(await play.rows('select 1 from outbox_inbox.parked where resolved_at is null'), []);
}

export async function parked(play: ConsumerPlay): Promise<void> {
  const id = uuid7();
  await play.queue.put([
    message({ n: 1, fails: 3 }, { id }),
    message({ n: 2, refused: true }),
    message({ n: 3 }),
  ]);
  await play.consume({ retry: quick });
  await until(async () => {
    const found = await listParked(play.pool, { state: 'parked' });
    assert.deepEqual(found.map(({ reason }) => reason).toSorted(), ['attempts-exhausted', 'refused']);
    assert.equal(await play.queue.left(), 0);
  });
  assert.deepEqual(await play.effects(), [3]);
  const first = (await listParked(play.pool)).find(({ messageId }) => messageId === id);
  assert.ok(first);
  assert.deepEqual([first.failed, first.lastError, first.type], [3, 'call 3 fails', 'test.asked']);
  const shown = await showParked(play.pool, first.id);
  assert.deepEqual(JSON.parse(Buffer.from(shown.body).toString()), { n: 1, fails: 3 });
  assert.equal(shown.headers['webhook-id'], id);
  const retry = () => resolveParked(play.pool, first.id, { action: 'retry', actor: 'eve' });
  const answers = await Promise.allSettled([retry(), retry()]);
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  await until(async () => assert.deepEqual(await play.effects(), [3, 1]));
  const after = await until(async () => {
    const found = await showParked(play.pool, first.id);
    assert.equal(found.state, 'resolved');
    return found;
  });
  assert.equal(after.resolution, 'applied');
  assert.equal(after.audit.length, 2);
  // Once it had its effect, whoever delivers it again is told so.
  await play.queue.put([message({ n: 1 }, { id })]);
  await until(async () => assert.equal(await play.queue.left(), 0));
  assert.equal(await play.calls(1), 4);
}

export async function discarded(play: ConsumerPlay): Promise<void> {
  const id = uuid7();
  await play.queue.put([message({ n: 1, refused: true }, { id })]);
  await play.consume({ retry: quick });
  const [first] = await until(async () => {
    const found = await listParked(play.pool);
    assert.equal(found.length, 1);
    return found;
  });
  await resolveParked(play.pool, first!.id, { action: 'discard', actor: 'eve', reason: 'a test' });
  await until(async () => assert.deepEqual(await play.rows('select n from told'), [{ n: 1 }]));
  await play.queue.put([message({ n: 1 }, { id }), message({ n: 2 })]);
  await until(async () => {
    assert.deepEqual(await play.effects(), [2]);
    assert.equal(await play.queue.left(), 0);
  });
  assert.equal(await play.calls(1), 1);
  assert.deepEqual(await play.rows('select n from told'), [{ n: 1 }]);
}

export async function noId(play: ConsumerPlay): Promise<void> {
  const nameless = { ...message({ n: 1 }), headers: {} };
  await play.queue.put([nameless]);
  const consumer = await play.consume({ retry: quick });
  const [first] = await until(async () => {
    const found = await listParked(play.pool, { state: 'parked' });
    assert.equal(found.length, 1);
    assert.equal(await play.queue.left(), 0);
    return found;
  });
  assert.deepEqual([first!.reason, first!.messageId], ['no-id', null]);
  assert.deepEqual(await play.effects(), []);
  await resolveParked(play.pool, first!.id, { action: 'retry', actor: 'eve' });
  await until(async () => assert.deepEqual(await play.effects(), [1]));
  await consumer.stop();
  await play.consume({ id: ({ body }) => `n${Buffer.from(body).toString()}` });
  const another = { ...message({ n: 2 }), headers: {} };
  await play.queue.put([another, another]);
  await until(async () => {
    assert.deepEqual(await play.effects(), [1, 2]);
    assert.equal(await play.queue.left(), 0);
  });
}

export async function edited(play: ConsumerPlay): Promise<void> {
  const [first, second] = [uuid7(), uuid7()];
  const consumer = await play.consume({ retry: quick });
  // The edited one comes first: the original is superseded.
  await play.queue.put([message({ n: 2 }, { id: `${first}:r2` })]);
  await until(async () => assert.deepEqual(await play.effects(), [2]));
  await play.queue.put([message({ n: 1 }, { id: first })]);
  await until(async () => assert.equal(consumer.counters.repeated, 1));
  // The original had its effect: a person has to look at the edited one.
  await play.queue.put([message({ n: 3 }, { id: second })]);
  await until(async () => assert.deepEqual(await play.effects(), [2, 3]));
  await play.queue.put([message({ n: 4 }, { id: `${second}:r2` })]);
  await until(async () => {
    const [found] = await listParked(play.pool);
    assert.equal(found?.reason, 'revision');
  });
  assert.deepEqual(await play.effects(), [2, 3]);
}
