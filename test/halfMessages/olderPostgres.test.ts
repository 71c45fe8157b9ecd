/** Half messages on the oldest PostgreSQL that we support. */
import { expect, test } from 'vitest';
import { commitMessage, prepareMessage, rollbackMessage } from '../../src/index.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { claimMessages, openMessages, settleChecks } from '../../src/storage/messages.ts';
import { uniqueName } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { startOlderPostgres } from '../support/olderPostgres.ts';
import { configure } from './support.ts';

test('are prepared, settled together, repeated, and settled by a check-back', async (context) => {
  onlyWithEverything(context, 'other versions');
  const { pool } = await startOlderPostgres();
  await migrate(pool);
  const checkBack = `url: 'http://127.0.0.1:9/', grace: 1ms`;
  await configure({ pool, name: uniqueName() }, { checkBack });
  const message = { producer: 'shop', type: 'order.paid', payload: { total: 1 } };
  const ids = (await Promise.all(Array.from({ length: 30 }, () => prepareMessage(pool, message)))).map(
    ({ id }) => id,
  );
  const [first = '', second = '', third = '', ...rest] = ids;
  const committed = await Promise.all([...rest, first, first].map((id) => commitMessage(pool, id)));
  expect(committed.filter(({ changed }) => changed)).toHaveLength(28);
  expect(await rollbackMessage(pool, second)).toMatchObject({ state: 'rolled-back', changed: true });
  await expect(commitMessage(pool, second)).rejects.toMatchObject({ code: 'OUTBOX_MESSAGE_SETTLED' });
  expect(await prepareMessage(pool, { ...message, id: first })).toMatchObject({
    state: 'committed',
    inserted: false,
  });
  await expect(prepareMessage(pool, { ...message, id: first, payload: 2 })).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
  });

  const [batch] = await claimMessages(pool, 10);
  const opened = await openMessages(pool, batch?.workflowId ?? '');
  if (opened === undefined) throw new Error('nothing was opened');
  const answer = { id: third, checks: 0, answer: 'committed', detail: null, delayMs: null } as const;
  expect(await settleChecks(pool, opened, [answer])).toBe(true);
  const { rows } = await pool.query('select count(*)::int as n from outbox.events');
  expect(rows).toEqual([{ n: 29 }]);
}, 90_000);
