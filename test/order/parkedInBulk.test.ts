/** A person parks what waits at a paused destination that keeps order, and sends it again: all at once, in part, in the wrong order. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { signals } from '../../workflows/contract.ts';
import { command, openStage, type Stage } from '../circuit/stage.ts';
import { eventually } from '../support/index.ts';
import { firstReceipts, keyed, settled } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

const keys = ['k0', 'k1', 'k2'];

/** Events `1 … n` of each key, whose payloads say which they are; answers their ids by key. */
async function write(stage: Stage, from: number, to: number): Promise<Map<string, string[]>> {
  const ids = new Map<string, string[]>(keys.map((key) => [key, []]));
  for (let n = from; n <= to; n++) {
    const events = keys.map((key) => ({ type: 'order.changed', key, payload: { key, n } }));
    for (const [index, { id }] of (
      await enqueue(stage.database.pool, events, { ownTransaction: true })
    ).entries())
      ids.get(keys[index] ?? '')?.push(id);
  }
  return ids;
}

async function states(stage: Stage): Promise<Record<string, number>> {
  const rows = await stage.database.rows<{ state: string; n: number }>(
    'select state, count(*)::int as n from outbox.deliveries group by state',
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

/** Ten events of each key are parked, two more wait behind them; `billing` is resumed. Answers the ids and the holder's workflow. */
async function parkInBulk(stage: Stage) {
  await command(stage, 'pause', { reason: 'maintenance' });
  const ids = await write(stage, 1, 10);
  // A claim that came between may have set some of them aside for their key.
  await stage.database.pool.query(
    `update outbox.deliveries set state = 'blocked' where key = 'k1' and seq % 2 = 0
       and seq > (select min(seq) from outbox.deliveries where key = 'k1')`,
  );
  const parked = await command(stage, 'park', { olderThan: '1ms' });
  expect(parked).toMatchObject({ outcome: 'done', events: 30 });
  const workflowId = /workflow (\S+);/.exec(parked.message)?.[1] ?? '';
  await command(stage, 'resume');
  await write(stage, 11, 12);
  return { ids, holder: stage.client.workflow.getHandle(workflowId) };
}

const inOrder = Array.from({ length: 12 }, (_, index) => index + 1);

function expectAllInOrder(stage: Stage): void {
  const received = firstReceipts(stage.billing);
  expect([...received.keys()].sort()).toEqual(keys);
  for (const [key, numbers] of received) expect({ key, numbers }).toEqual({ key, numbers: inOrder });
}

/** Each event is refused once. */
const onceRefused = ({ attempt }: { attempt: number }): number => (attempt === 1 ? 500 : 204);

test('all of them at once: each key goes in its order, failures and all, and what came later follows', async () => {
  const stage = await openStage({ answer: onceRefused, billing: keyed, circuit: 'enabled: false' });
  const { holder } = await parkInBulk(stage);
  await eventually(async () => expect(await states(stage)).toMatchObject({ parked: 30 }));
  expect(stage.billing.requests).toEqual([]);
  await eventually(() => holder.signal(signals.retry, { actor: 'ada' }));
  await settled(stage.database);
  expectAllInOrder(stage);
  await eventually(async () => expect((await holder.describe()).status.name).toBe('COMPLETED'));
}, 90_000);

test('some of them, the last ones first: nothing goes before what is still parked before it', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const stage = await openStage({ answer: onceRefused, billing: keyed, circuit: 'enabled: false' });
  const { ids, holder } = await parkInBulk(stage);
  const id = (key: string, n: number): string => ids.get(key)?.[n - 1] ?? '';
  const corrected = id('k2', 3);
  await eventually(() =>
    holder.signal(signals.retry, {
      event: [id('k0', 10), id('k0', 5), id('k1', 2), id('k1', 4)],
    }),
  );
  await holder.signal(signals.edit, { event: corrected, headers: { corrected: 'yes' } });
  await eventually(async () => expect((await states(stage))['parked']).toBe(25));
  await holder.signal(signals.retry, { event: [id('k0', 1), id('k0', 2)] });
  await eventually(async () => expect((await states(stage))['parked']).toBe(23));
  // The first of k0 goes; the second waits with the rest, as some of its key are parked.
  await eventually(() => expect(firstReceipts(stage.billing)).toEqual(new Map([['k0', [1]]])));
  await holder.signal(signals.retry, {});
  await settled(stage.database);
  const received = firstReceipts(stage.billing);
  for (const key of ['k0', 'k1']) expect({ key, got: received.get(key) }).toEqual({ key, got: inOrder });
  expect(new Set(stage.billing.of(corrected).map((request) => request.id))).toEqual(
    new Set([`${corrected}:r2`]),
  );
  expect(received.get('k2')).toEqual(inOrder);
}, 90_000);

test('given up in bulk, they let what came later go', async () => {
  const stage = await openStage({ billing: keyed });
  const { holder } = await parkInBulk(stage);
  await eventually(() => holder.signal(signals.discard, { all: true, reason: 'too late for these' }));
  await settled(stage.database);
  for (const numbers of firstReceipts(stage.billing).values()) expect(numbers).toEqual([11, 12]);
}, 60_000);
