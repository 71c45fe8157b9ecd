/** `inbox parked …`: what a person does with messages of queues that were parked. */
import { expect, test } from 'vitest';
import { consumerDatabase } from '../inbox/fixtures.ts';
import { runCli } from '../support/index.ts';

test('list, show, edit, retry and discard: each acts once, and is written down', async () => {
  const { url, pool, rows } = await consumerDatabase();
  const park = async (id: string | null): Promise<string> => {
    const { rows: kept } = await pool.query<{ id: string }>(
      `select id::text from outbox_inbox.keep('stock', $1, null, 'order.created', 'rabbitmq stock', '{"webhook-id": "m"}',
         'application/json', $2, 'parked', 'attempts-exhausted', 'no such article', null)`,
      [id, Buffer.from('{"n": 1}')],
    );
    return kept[0]!.id;
  };
  const [first, second, nameless] = [await park('m-1'), await park('m-2'), await park(null)];
  const run = async (...args: string[]) => {
    const { stdout, code } = await runCli(['inbox', 'parked', ...args, '--json'], { databaseUrl: url });
    return {
      code,
      said: JSON.parse(stdout) as { items?: { id: string }[]; results?: { outcome: string }[] },
    };
  };
  expect((await run('list', '--consumer', 'stock')).said.items?.map(({ id }) => id)).toEqual([
    first,
    second,
    nameless,
  ]);
  expect((await run('show', first)).said).toMatchObject({
    messageId: 'm-1',
    reason: 'attempts-exhausted',
    lastError: 'no such article',
    payloadText: '{"n": 1}',
  });
  const edited = await run(
    'edit',
    first,
    '--payload',
    '{"n": 2}',
    '-H',
    'x=y',
    '--actor',
    'eve',
    '--reason',
    'a typo',
  );
  expect(edited).toMatchObject({ code: 0, said: { results: [{ outcome: 'done' }] } });
  expect(await rows('select state, body, headers from outbox_inbox.parked where id = $1', [first])).toEqual([
    { state: 'retrying', body: Buffer.from('{"n": 2}'), headers: { 'webhook-id': 'm', x: 'y' } },
  ]);
  expect((await run('discard', second, nameless, '--reason', 'by phone')).code).toBe(0);
  expect(await run('discard', second)).toMatchObject({
    code: 1,
    said: { results: [{ outcome: 'refused' }] },
  });
  expect((await run('show', second)).said).toMatchObject({
    resolution: 'discarded',
    resolvedReason: 'by phone',
    audit: [
      { action: 'discard', outcome: 'done' },
      { action: 'discard', outcome: 'it was discarded already' },
    ],
  });
  // What comes again is known.
  expect(await rows(`select outcome from outbox_inbox.claim('stock', 'm-2')`)).toEqual([
    { outcome: 'duplicate' },
  ]);
});
