import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
} from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { writeEvents } from './drain.ts';

const events = 20;
/**
 * Temporal hands the task to whoever polls: one that stands still keeps up to four polls open, and each may be given it once, for the ten
 * seconds of a workflow task. The other worker has to start meanwhile, too.
 */
const takenOverMs = 120_000;

test(
  'a worker stopped for longer than a workflow task and continued is fenced: no row is charged twice',
  async (context) => {
    onlyWithEverything(context, 'it takes half a minute');
    const database = await createTestDatabase();
    const receiver = await startReceiver({ answer: { status: 500, delayMs: 2_000 } });
    await applyTestConfig(
      database,
      `
    destinations:
      billing:
        type: http
        url: ${receiver.url}
        retry: { initialInterval: 1h, maximumInterval: 1h, jitter: 0 }
        circuit: { enabled: false }
    routes: [{ match: '*', to: [billing] }]`,
    );
    const stopped = spawnRun({ databaseUrl: database.url });
    await eventually(() => expect(stopped.stdout()).toContain('relay started'));
    const ids = await writeEvents(database.pool, events);
    await eventually(() => expect(receiver.requests).toHaveLength(events), { interval: 2 });
    stopped.child.kill('SIGSTOP');

    spawnRun({ databaseUrl: database.url });
    const charged = (): Promise<unknown[]> =>
      database.rows('select tries, attempts, count(*)::int from outbox.deliveries group by tries, attempts');
    const once = [{ tries: 1, attempts: 1, count: events }];
    await eventually(async () => expect(await charged()).toEqual(once), { timeout: takenOverMs });
    const [{ runs } = { runs: 0 }] = await database.rows<{ runs: number }>(
      'select max(run) as runs from outbox.batches',
    );
    stopped.child.kill('SIGCONT');
    // Either its requests are answered first, and what it writes is refused; or Temporal tells it first that its task is another's.
    await eventually(() =>
      expect(stopped.stdout()).toMatch(/a later execution owns this batch|Workflow task not found/),
    );
    await sleep(3_000);
    expect(await charged()).toEqual(once);
    expect(await database.rows('select 1 from outbox.attempts')).toHaveLength(events);
    expect(runs).toBeGreaterThanOrEqual(2);
    // The other worker sent each once more: with SIGSTOP nobody can know what the first one had got done.
    for (const id of ids)
      expect(new Set(receiver.of(id).map(({ key }) => key))).toEqual(new Set([`billing/${id}`]));
    expect(receiver.requests).toHaveLength(2 * events);
  },
  takenOverMs + 60_000,
);
