/** Answers that may mean that the endpoint is gone: redirects and 410. */
import { beforeEach, describe, expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually, type Answer, type Script } from '../support/index.ts';
import { allDelivered, charged, command, deadLetters, openStage, stands, type Stage } from './stage.ts';

const quickly = 'retry: { initialInterval: 200ms, backoffCoefficient: 1, maximumAttempts: 4, jitter: 0 }';
const place = 'https://us:hunter2@new.example/hooks?token=hunter2';

function sign(status: number): Answer {
  return status === 410 ? 410 : { status, headers: { location: place } };
}

/** The sign for the events that are marked, 204 for the rest. */
function signWhere(status: number, mark: string): Script {
  return ({ body }) => (body.toString().includes(mark) ? sign(status) : 204);
}

async function letters({
  database,
}: Stage): Promise<{ event_id: string; reason: string; last_error: string }[]> {
  return database.rows('select event_id, reason, last_error from outbox.dead_letters order by event_id');
}

describe.each([301, 302, 303, 307, 308, 410])('%i', (status) => {
  beforeEach((context) => {
    if (status !== 308 && status !== 410) onlyWithEverything(context, 'variants');
  });

  test('for every event, one at a time, pauses the destination after three; nothing is parked or charged', async () => {
    const stage = await openStage({ answer: sign(status), billing: 'batch: { maximum: 1, inFlight: 1 }' });
    const ids: string[] = [];
    for (let number = 0; number < 3; number++) {
      ids.push(...(await stage.send(1)));
      await eventually(() => expect(stage.billing.of(ids[number] ?? '').length).toBeGreaterThanOrEqual(1));
    }
    const { reason, lastStatus } = await stands(stage, 'paused');
    expect(reason).toMatch(new RegExp(`^3 events got HTTP ${status}, and none went through: POST `));
    if (status !== 410) expect(reason).toMatch(/, which points to https:\/\/new\.example\/hooks\?…$/);
    expect(reason).not.toContain('hunter2');
    expect(lastStatus).toBe(status);
    ids.push(...(await stage.send(50)));
    await eventually(async () => {
      expect(await deadLetters(stage.database)).toBe(0);
      expect(await charged(stage.database)).toBe(0);
      const rows = await stage.database.rows('select 1 from outbox.deliveries where attempts > 0');
      expect(rows).toEqual([]);
    });
    stage.billing.answer(204);
    await command(stage, 'resume');
    await allDelivered(stage.database, ids);
  });

  test('for a whole batch pauses it, and parks nothing', async () => {
    const stage = await openStage({ answer: sign(status) });
    const ids = await stage.send(300);
    await stands(stage, 'paused');
    expect([await deadLetters(stage.database), await charged(stage.database)]).toEqual([0, 0]);
    expect(stage.billing.requests.length).toBeLessThan(200);
    stage.billing.answer(204);
    await command(stage, 'resume');
    await allDelivered(stage.database, ids);
  });
});

test.each([
  [301, 'unkeyed', quickly],
  [410, 'unkeyed', quickly],
  [410, 'keyed', `${quickly}, ordering: key`],
  [307, 'keyed', `${quickly}, ordering: key`],
] as const)(
  '%i for one event of many, %s, parks that one, and the rest goes on',
  async (status, _, billing) => {
    const stage = await openStage({ answer: signWhere(status, 'gone'), billing });
    const events = Array.from({ length: 30 }, (__, number) => ({
      type: 'order.created',
      key: `k${number}`,
      payload: { number, mark: number === 7 ? 'gone' : 'fine' },
    }));
    const ids = (await enqueue(stage.database.pool, events, { ownTransaction: true })).map(({ id }) => id);
    await allDelivered(
      stage.database,
      ids.filter((id) => id !== ids[7]),
    );
    await allDelivered(stage.database, await stage.send(5));
    await eventually(async () =>
      expect(await letters(stage)).toMatchObject([{ event_id: ids[7], reason: 'permanent' }]),
    );
    expect((await stage.standing()).paused).toBe(false);
    if (status !== 410) expect((await letters(stage))[0]?.last_error).toContain('https://new.example/hooks');
  },
);

test('410 for one event, one at a time among others, parks it at its next try, and pauses nothing', async () => {
  const stage = await openStage({
    answer: signWhere(410, 'gone'),
    billing: `${quickly}, batch: { maximum: 1, inFlight: 1 }`,
  });
  const [gone = ''] = await stage.send(1, { mark: 'gone' });
  await allDelivered(stage.database, await stage.send(3));
  await eventually(async () =>
    expect(await letters(stage)).toMatchObject([{ event_id: gone, reason: 'permanent' }]),
  );
  expect(stage.billing.of(gone).length).toBeLessThanOrEqual(2);
  expect((await stage.standing()).paused).toBe(false);
});

test.each([301, 410])(
  '%i for the only event there is says nothing of the endpoint: it is retried by its policy, charged and parked',
  async (status) => {
    const stage = await openStage({ answer: sign(status), billing: quickly });
    const [only = ''] = await stage.send(1);
    await eventually(async () =>
      expect(await letters(stage)).toMatchObject([{ event_id: only, reason: 'attempts-exhausted' }]),
    );
    expect(stage.billing.of(only)).toHaveLength(4);
    expect(await stage.standing()).toMatchObject({ paused: false, state: 'closed' });
    await allDelivered(stage.database, (stage.billing.answer(204), await stage.send(1)));
  },
);

test.each([301, 410])(
  'a resume is not undone by the events of %i that paused it: they are parked, and the rest goes through',
  async (status) => {
    const stage = await openStage({ answer: signWhere(status, 'gone'), billing: quickly });
    const gone = await stage.send(4, { mark: 'gone' });
    await stands(stage, 'paused');
    expect(await deadLetters(stage.database)).toBe(0);
    const others = await stage.send(20);
    await command(stage, 'resume');
    await allDelivered(stage.database, others);
    await eventually(async () =>
      expect((await letters(stage)).map(({ event_id }) => event_id)).toEqual([...gone].sort()),
    );
    expect((await stage.standing()).paused).toBe(false);
  },
);

test('a resume of an endpoint that is still gone is undone by new events', async () => {
  const stage = await openStage({ answer: 410 });
  await stage.send(3);
  await stands(stage, 'paused');
  await command(stage, 'resume');
  await stands(stage, 'closed');
  await stage.send(3);
  await stands(stage, 'paused');
  expect(await deadLetters(stage.database)).toBe(0);
});

test('an endpoint that moves while traffic goes on is paused, and nothing is parked', async () => {
  let moved = false;
  const stage = await openStage({
    answer: () => (moved ? sign(308) : 204),
    billing: 'batch: { maximum: 1, inFlight: 1 }',
  });
  await allDelivered(stage.database, await stage.send(20));
  moved = true;
  const ids = await stage.send(20);
  await stands(stage, 'paused');
  expect([await deadLetters(stage.database), await charged(stage.database)]).toEqual([0, 0]);
  moved = false;
  await command(stage, 'resume');
  await allDelivered(stage.database, ids);
});

test('of traffic of which every second event is redirected, those are parked, and the rest goes on', async () => {
  const stage = await openStage({ answer: signWhere(302, 'gone'), billing: quickly });
  const ids = await stage.send(100, (number) => ({ mark: number % 2 === 0 ? 'gone' : 'fine' }));
  await allDelivered(
    stage.database,
    ids.filter((_, number) => number % 2 === 1),
  );
  await allDelivered(stage.database, await stage.send(1));
  await eventually(async () => expect(await deadLetters(stage.database)).toBe(50));
  expect((await stage.standing()).paused).toBe(false);
});
