/** A paused redrive that was resumed while nobody could tell its workflow: a repeat tells it, and housekeeping does. */
import { beforeAll, expect, test } from 'vitest';
import { createRedrives, type Redrive } from '../../src/redrive/index.ts';
import { eventually, uniqueName } from '../support/index.ts';
import { pageOf } from '../resolve/stage.ts';
import { openPlace, type Place } from './place.ts';

let place: Place;
beforeAll(async () => {
  place = await openPlace();
});

/** Resumed in PostgreSQL alone, and its workflow waits. */
async function resumedUntold(): Promise<Redrive> {
  const ids = await place.park(4);
  place.heal(...ids);
  place.delay(ids[0] ?? '', 1_000);
  const { id, workflowId } = await place.go({ letters: await lettersOf(ids), steps: [1] });
  await place.redrives.pause(id, { actor: 'ada' });
  await eventually(async () =>
    expect(await pageOf(place.client, workflowId ?? '')).toContain('**paused** by ada'),
  );
  const withoutTemporal = createRedrives({ db: place.database.pool, name: place.database.name });
  const resumed = await withoutTemporal.resume(id, { actor: 'ada' });
  expect(resumed.endedAt).toBeNull();
  return resumed;
}

async function lettersOf(ids: readonly string[]): Promise<number[]> {
  const rows = await place.database.rows<{ id: number }>(
    'select id::integer from outbox.dead_letters where event_id = any ($1) and resolved_at is null',
    [ids],
  );
  return rows.map(({ id }) => id);
}

test('resumed once more: refused, and it goes on', async () => {
  const { id } = await resumedUntold();
  await expect(place.redrives.resume(id)).rejects.toThrow('not paused');
  expect(await place.over(id)).toMatchObject({ state: 'done', done: 4 });
});

test('nothing was heard of it for long: housekeeping sets it going', async () => {
  const { id } = await resumedUntold();
  await place.database.pool.query(
    `update outbox.redrives set seen_at = now() - interval '1 hour' where id = $1`,
    [id],
  );
  const housekeeping = await place.client.workflow.start('housekeeping', {
    workflowId: uniqueName('housekeeping'),
    taskQueue: place.database.taskQueue,
    args: [{ pass: true }],
  });
  await housekeeping.result();
  expect(await place.over(id)).toMatchObject({ state: 'done', done: 4 });
});
