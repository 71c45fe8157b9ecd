/** Failed deliveries that left a shared batch get their workflows at a pace, whatever dies at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { SplitOff } from '../../activities/index.ts';
import { Apart } from '../../src/relay/apart.ts';
import { atEnd, eventually, quietLog } from '../support/index.ts';

const single = (lane: string, n: number): SplitOff => ({
  workflowId: `deliver/${lane}/${n}`,
  lane,
  eventId: null,
  eventType: null,
});

function apart(callOff: (workflowIds: readonly string[]) => readonly string[] = () => []) {
  const started: string[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  const starting = new Apart({
    start: async ({ workflowId }) => {
      started.push(workflowId);
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      await sleep(1);
      underWay--;
    },
    callOff: (workflowIds) => Promise.resolve(callOff(workflowIds)),
    log: quietLog().log,
  });
  atEnd(() => starting.stop());
  return { starting, started, most: () => mostUnderWay };
}

test('a few start at once; hundreds start a few at a time, and all of them', async () => {
  const { starting, started, most } = apart();
  const startedAt = performance.now();
  starting.add(Array.from({ length: 100 }, (_, n) => single(`d${n}`, 0)));
  expect(started).toHaveLength(8);
  await eventually(() => expect(started).toHaveLength(100));
  expect(new Set(started).size).toBe(100);
  expect(most()).toBeLessThanOrEqual(8);
  // 20 at once and 45 a second at first, fewer as fewer wait.
  expect(performance.now() - startedAt).toBeGreaterThan(1_500);
});

test('one destination with many does not hold up another', async () => {
  const { starting, started } = apart();
  starting.add(Array.from({ length: 200 }, (_, n) => single('many', n)));
  starting.add([single('other', 0)]);
  await eventually(() => expect(started).toContain('deliver/other/0'));
  expect(started.length).toBeLessThan(40);
});

test('what is called off is not started', async () => {
  const asked: (readonly string[])[] = [];
  const { starting, started } = apart((workflowIds) => {
    asked.push(workflowIds);
    return workflowIds.filter((workflowId) => workflowId.startsWith('deliver/dead/'));
  });
  starting.add(Array.from({ length: 60 }, (_, n) => single('dead', n)));
  starting.add(Array.from({ length: 30 }, (_, n) => single('alive', n)));
  const ofAlive = (): string[] => started.filter((workflowId) => workflowId.startsWith('deliver/alive/'));
  await eventually(() => expect(ofAlive()).toHaveLength(30));
  expect(asked.length).toBeGreaterThan(0);
  expect(started.length).toBeLessThan(90);
});

test('one that stops starts nothing more', async () => {
  const { starting, started } = apart();
  starting.add(Array.from({ length: 100 }, (_, n) => single(`d${n}`, 0)));
  starting.stop();
  const before = started.length;
  await sleep(300);
  expect(started).toHaveLength(before);
});
