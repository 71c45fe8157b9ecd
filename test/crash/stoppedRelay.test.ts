/** A process stands still (SIGSTOP) between its claim and what comes next, past every time limit, and then goes on. */
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  startRun,
  temporalClient,
} from '../support/index.ts';
import { drained, writeEvents } from './drain.ts';
import { onlyWithEverything } from '../support/everything.ts';

const events = 50;

test.for([
  ['run', 'after-claim'],
  ['run', 'before-start'],
  ['relay', 'before-start'],
] as const)(
  'a stopped `%s` that goes on at %s long after another took over changes nothing, and sends nothing again',
  { timeout: 180_000 },
  async ([command, point], context) => {
    if (command === 'relay' || point === 'after-claim') onlyWithEverything(context, 'a sibling is shown');
    const database = await createTestDatabase();
    const receiver = await startReceiver();
    await applyTestConfig(
      database,
      `
      destinations: { billing: { type: http, url: '${receiver.url}' } }
      routes: [{ match: '*', to: [billing] }]`,
    );
    const stopped = spawnRun({
      databaseUrl: database.url,
      args: [command],
      env: { OUTBOX_FAILPOINTS: `${point}=pause@1`, OUTBOX_FAILPOINTS_ALLOWED: 'crash-test' },
    });
    await eventually(() => expect(stopped.stdout()).toContain('relay started'), { timeout: 60_000 });
    const ids = await writeEvents(database.pool, events);
    await eventually(() => expect(stopped.stderr()).toContain(`failpoint ${point}: pause`));
    // It has claimed, and will not say so; others find the claim when it is old enough.
    const heir = await startRun({ databaseUrl: database.url });
    expect(await drained(database.pool, receiver, ids)).toBe(0);
    const rows = await database.rows('select * from outbox.delivered order by event_id');
    const missing = heir.logged.find(({ message }) => message.startsWith('rows without a workflow'));
    const { workflowId = '' } = (missing?.fields ?? {}) as { workflowId?: string };
    const workflow = (await temporalClient()).workflow.getHandle(workflowId);
    const runId = await eventually(async () => {
      const first = await workflow.describe();
      expect(first.status.name).toBe('COMPLETED');
      return first.runId;
    });

    stopped.child.kill('SIGCONT');
    // Its late start: the id is free again, and what it starts finds nothing to do.
    await eventually(
      async () => {
        const late = await workflow.describe();
        expect(late.runId).not.toBe(runId);
        expect(late.status.name).toBe('COMPLETED');
      },
      { timeout: 60_000, interval: 100 },
    );
    const [later = ''] = await writeEvents(database.pool, 1);
    await eventually(() => expect(receiver.of(later)).toHaveLength(1));
    expect(await drained(database.pool, receiver, [...ids, later])).toBe(0);
    const after = await database.rows(
      'select * from outbox.delivered where event_id <> $1 order by event_id',
      [later],
    );
    expect(after).toEqual(rows);
    expect(await database.rows('select 1 from outbox.dead_letters')).toEqual([]);
    await eventually(async () => expect(await database.rows('select 1 from outbox.batches')).toEqual([]));
    await stopped.kill();
  },
);
