/** A half message leaves its workflow as it is parked. A command that reaches the first one acts where the message is. */
import { expect, test } from 'vitest';
import { prepareMessage } from '../../src/index.ts';
import { resolveMessages } from '../../src/storage/messages.ts';
import { databaseWithProducer, statesOf } from './support.ts';

test('commit and check act on what left, each told whom to wake; named ones alone; what is unknown refuses all', async () => {
  const database = await databaseWithProducer();
  const { pool, name, rows } = database;
  const from = `${name}/preparedMessage/batch-1`;
  const ids: string[] = [];
  for (const total of [1, 2, 3])
    ids.push((await prepareMessage(pool, { producer: 'shop', type: 'order', payload: { total } })).id);
  const [first = '', second = '', third = ''] = ids;
  const workflowOf = (id: string) => `${name}/preparedMessage/${id}`;
  await rows(`insert into outbox.message_batches (workflow_id, producer) values ($1, 'shop')`, [from]);
  await rows('update outbox.prepared_messages set workflow_id = $1', [from]);
  await rows(
    `select outbox.park_message(b, m.id, 'it did not say') from outbox.message_batches b, outbox.prepared_messages m where b.workflow_id = $1`,
    [from],
  );
  expect(await statesOf(database)).toEqual({ parked: 3 });
  expect(await resolveMessages(pool, from, { action: 'commit' }, 'signal')).toMatchObject({
    outcome: 'refused',
    message: '3 messages are open here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}',
  });
  expect(
    (
      await resolveMessages(
        pool,
        from,
        { action: 'commit', events: [first, '0'.repeat(8) + first.slice(8)] },
        'signal',
      )
    ).message,
  ).toMatch(/^not open here: /);
  expect(await statesOf(database)).toEqual({ parked: 3 });
  const commit = { action: 'commit', events: [first.toUpperCase()], actor: 'ada', commandId: 'c-1' } as const;
  expect(await resolveMessages(pool, from, commit, 'signal')).toMatchObject({
    outcome: 'done',
    message: `sent on to ${workflowOf(first)}: message ${first} committed`,
    events: 1,
    sentOn: [workflowOf(first)],
  });
  expect(await resolveMessages(pool, from, commit, 'signal')).toMatchObject({
    outcome: 'done',
    repeated: true,
  });
  const check = await resolveMessages(pool, from, { action: 'check', all: true }, 'update');
  expect(check).toMatchObject({ outcome: 'done', events: 2 });
  expect(check.sentOn?.toSorted()).toEqual([second, third].map(workflowOf).toSorted());
  expect(await statesOf(database)).toEqual({ committed: 1, prepared: 2 });
  expect(
    await rows('select workflow_id from outbox.message_batches where nudged_at is not null'),
  ).toHaveLength(3);
});
