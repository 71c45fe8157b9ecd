/** A redrive whose history grows long goes on in another run, with its commands and what was said to it before. */
import { expect, test } from 'vitest';
import { pacedSignals } from '../../workflows/contract.ts';
import { ownTemporal } from '../field/ownTemporal.ts';
import { auditOf, pageOf } from '../resolve/stage.ts';
import { eventually } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { openPlace } from './place.ts';

test('a redrive goes on over many runs: each letter once, paused and resumed between, one start in the audit', async (context) => {
  onlyWithEverything(context, 'a Temporal server of its own');
  const own = await ownTemporal({ 'limit.historyCount.suggestContinueAsNew': 30 });
  const place = await openPlace({ temporal: own.settings });
  const ids = await place.park(24);
  place.heal(...ids);
  const { id, workflowId } = await place.go({ destination: 'billing', steps: [1] });
  const handle = place.client.workflow.getHandle(workflowId ?? '');
  const first = await handle.describe();
  const next = () =>
    eventually(async () => expect((await handle.describe()).runId).not.toBe(first.runId), {
      timeout: 60_000,
    });
  await next();
  await handle.signal(pacedSignals.pause, { actor: 'ada', reason: 'lunch' });
  await eventually(async () => expect((await place.redrives.status(id)).redrive.state).toBe('paused'));
  await handle.signal(pacedSignals.resume, { actor: 'bob' });
  const over = await eventually(
    async () => {
      const { redrive } = await place.redrives.status(id);
      expect(redrive.endedAt).not.toBeNull();
      return redrive;
    },
    { timeout: 60_000 },
  );
  expect(over).toMatchObject({ state: 'done', total: 24, done: 24, failed: 0 });
  for (const event of ids) expect(place.billing.of(event)).toHaveLength(2);
  expect(await auditOf(place.database, workflowId ?? '')).toMatchObject([
    { action: 'start', outcome: 'done', events: 24 },
    { action: 'pause', outcome: 'done', actor: 'ada', identity: expect.any(String) as string },
    { action: 'resume', outcome: 'done', actor: 'bob' },
  ]);
  // The page of the last run still has what was said to earlier ones.
  expect(await pageOf(place.client, workflowId ?? '')).toMatch(/`pause` by ada: \*\*done\*\*/);
});
