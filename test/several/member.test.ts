import { expect, test } from 'vitest';
import { OutboxError } from '../../src/errors.ts';
import type { Running } from '../../src/run.ts';
import { Member } from '../../src/several/member.ts';
import { atEnd, eventually } from '../support/index.ts';
import { quietLog } from '../support/running.ts';

interface Started extends Running {
  readonly fail: (error: Error) => void;
  readonly stops: () => number;
}

function started(): Started {
  let fail: (error: Error) => void = () => undefined;
  let settle: () => void = () => undefined;
  let stops = 0;
  const finished = new Promise<void>((resolve, reject) => ([settle, fail] = [resolve, reject]));
  finished.catch(() => undefined);
  return {
    endpoints: {},
    finished,
    stop: () => {
      stops += 1;
      settle();
      return Promise.resolve();
    },
    fail: (error) => fail(error),
    stops: () => stops,
  };
}

test('one that ends by a fault is stopped, says why, and begins again; others wait for nothing', async () => {
  const { log, logged } = quietLog();
  const begun: Started[] = [];
  const member = new Member('db:5432/orders', () => Promise.resolve(begun[begun.push(started()) - 1]!), log);
  atEnd(() => member.stop());
  await member.begin();
  begun[0]?.fail(new Error('the worker is out of order'));
  await eventually(() => expect(begun).toHaveLength(2));
  expect(begun[0]?.stops()).toBeGreaterThan(0);
  expect(logged).toMatchObject([
    { level: 'error', fields: { error: 'the worker is out of order', againInMs: 1_000 } },
  ]);
  await member.stop();
  expect(begun).toHaveLength(2);
  expect(begun[1]?.stops()).toBeGreaterThan(0);
});

test('a first start that fails is told to whoever waits, and tried again', async () => {
  const { log, logged } = quietLog();
  const begun: Started[] = [];
  let isAway = true;
  const start = (): Promise<Running> => {
    if (isAway)
      throw new OutboxError('OUTBOX_SCHEMA_MISSING', 'no schema outbox', { hint: 'temporal-outbox migrate' });
    return Promise.resolve(begun[begun.push(started()) - 1]!);
  };
  const member = new Member('db:5432/orders', start, log);
  atEnd(() => member.stop());
  await expect(member.begin()).rejects.toThrow('no schema outbox');
  expect(member.trouble).toBe('no schema outbox');
  isAway = false;
  await eventually(() => expect(begun).toHaveLength(1));
  expect(logged).toMatchObject([
    { fields: { code: 'OUTBOX_SCHEMA_MISSING', hint: 'temporal-outbox migrate' } },
  ]);
});

test('told to stop while it starts, it leaves nothing running', async () => {
  const late = started();
  let arrive: (running: Running) => void = () => undefined;
  const member = new Member('db', () => new Promise((resolve) => (arrive = resolve)), quietLog().log);
  void member.begin();
  const stopped = member.stop();
  arrive(late);
  await stopped;
  expect(late.stops()).toBe(1);
});
