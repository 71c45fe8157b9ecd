/** A redrive tries a few letters first, and stops itself when they fail again. */
import { beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/index.ts';
import { episodes, openDeadLetters, pageOf, settled, statusOf } from '../resolve/stage.ts';
import { openPlace, type Place } from './place.ts';

let place: Place;
beforeAll(async () => {
  place = await openPlace();
});

test('a canary that fails sends its own letters, and leaves all others parked', async () => {
  const ids = await place.park(30);
  const before = place.billing.requests.length;
  const { id } = await place.go({ destination: 'billing', steps: [10, 20], maxFailures: '10%' });
  const redrive = await place.over(id);
  expect(redrive).toMatchObject({ state: 'stopped', total: 30, acted: 10, done: 0 });
  expect(redrive.why).toContain('letters of step 1 failed again');
  expect(place.billing.requests.length - before).toBe(10);
  await eventually(async () => expect(await openDeadLetters(place.database, ids)).toHaveLength(30));
  // Those that failed again are letters of their own, with all that made them.
  const [first = ''] = ids;
  expect(
    (await episodes(place.database, first)).map(({ park_no, resolution }) => [park_no, resolution]),
  ).toEqual([
    [1, 'retry'],
    [2, null],
  ]);
  const left = await place.redrives.members(id);
  expect(left.map(({ state }) => state)).toEqual([
    ...Array.from({ length: 10 }, () => 'failed'),
    ...Array.from({ length: 20 }, () => 'left'),
  ]);
  place.heal(...ids);
  const again = await place.go({ destination: 'billing', steps: [1, 5], maxFailures: 0 });
  await settled(place.database, ids);
  expect(await place.over(again.id)).toMatchObject({
    state: 'done',
    total: 30,
    done: 30,
    failed: 0,
    skipped: 0,
  });
  await eventually(async () =>
    expect(await statusOf(place.client, `${place.database.name}/redrive/${again.id}`)).toBe('COMPLETED'),
  );
  expect(await pageOf(place.client, `${place.database.name}/redrive/${again.id}`)).toContain('is done');
  // The workflows that held them know.
  await eventually(async () =>
    expect(await place.database.rows('select 1 from outbox.redrive_workflows')).toHaveLength(0),
  );
});

test('letters that fail now and then do not stop it below the limit', async () => {
  const ids = await place.park(20);
  place.heal(...ids.slice(1));
  const { id } = await place.go({ destination: 'billing', steps: [10], rate: 500, maxFailures: '10%' });
  expect(await place.over(id)).toMatchObject({ state: 'done', done: 19, failed: 1 });
});

test('what fails after its canary stops it within that step: no letter of the next one goes', async () => {
  const ids = await place.park(60);
  place.heal(...ids.slice(0, 10));
  const letters = (await openDeadLetters(place.database, ids)).map((letter) => Number(letter.id));
  const before = place.billing.requests.length;
  const { id } = await place.go({ letters, steps: [10, 20, 30], maxFailures: '10%' });
  const redrive = await place.over(id);
  expect(redrive).toMatchObject({ state: 'stopped', total: 60, acted: 30, done: 10, step: 2 });
  // Whichever share is seen first.
  expect(redrive.why).toMatch(/letters of step 2 failed again|answers were failures/);
  await eventually(async () => expect(await openDeadLetters(place.database, ids)).toHaveLength(50));
  expect(place.billing.requests.length - before).toBe(30);
  const members = await place.redrives.members(id);
  expect(members.filter(({ state }) => state === 'left')).toHaveLength(30);
  expect((await openDeadLetters(place.database, ids)).filter(({ park_no }) => park_no === 1)).toHaveLength(
    30,
  );
});
