import { expect, test } from 'vitest';
import { findRabbitmq } from '../../src/embedded/index.ts';
import { isOutboxError } from '../../src/errors.ts';
import { requires } from '../support/index.ts';
import { expectClean, folderWith, offline } from './commands.ts';
import { onlyWithEverything } from '../support/everything.ts';

test(
  'demo --queue rabbitmq --exit sends each event twice over a real RabbitMQ, and each has its effect once',
  { timeout: 180_000 },
  async (context) => {
    onlyWithEverything(context, 'a broker');
    requires.program('rabbitmq-server');
    const ended = await offline(['demo', '--queue', 'rabbitmq', '--exit'], {
      cwd: await folderWith(),
      databaseUrl: '',
    });
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    const counts = JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '') as unknown;
    expect(counts).toEqual({
      ...{ committed: 12, rolledBack: 4, sent: 24, effects: 12 },
      ...{ retried: 1, parked: 1, resolved: 1 },
    });
    expect(ended.stdout).toContain('Checked in the tables of orders and of billing');
    expectClean(ended);
  },
);

test('where RabbitMQ is not installed the error says how to get it, and queues that are not there are refused', async () => {
  let thrown: unknown;
  try {
    findRabbitmq('/nowhere', ['/neither/here']);
  } catch (error) {
    thrown = error;
  }
  expect(isOutboxError(thrown) && { code: thrown.code, message: thrown.message, hint: thrown.hint }).toEqual({
    code: 'OUTBOX_SERVER_DOWNLOAD',
    message: 'rabbitmq-server is neither on PATH nor in /neither/here.',
    hint: expect.stringContaining('apt install rabbitmq-server') as string,
  });

  const refused = await offline(['demo', '--queue', 'carrier-pigeon']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('Allowed choices are rabbitmq');
});
