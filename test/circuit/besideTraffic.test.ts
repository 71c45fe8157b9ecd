import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventually } from '../support/index.ts';
import { openStage } from './stage.ts';

test('events that are never answered do not open the circuit while others go through an open batch', async () => {
  const stage = await openStage({
    answer: ({ body }) =>
      (JSON.parse(body.toString()) as { answered: boolean }).answered ? 204 : { status: 502 },
    billing: 'retry: { initialInterval: 200ms, backoffCoefficient: 1, jitter: 0 }',
  });
  // Each in a workflow of its own, whose attempts know nothing of the batch that goes on meanwhile.
  const lost = await stage.send(4, { answered: false });
  for (let n = 0; n < 240; n++) {
    await stage.send(1, { answered: true });
    await sleep(25);
  }
  await eventually(() =>
    expect(Math.min(...lost.map((id) => stage.billing.of(id).length))).toBeGreaterThanOrEqual(6),
  );
  expect(await stage.standing()).toMatchObject({ state: 'closed', openedAt: null });
  stage.billing.answer(204);
}, 60_000);
