/** A redrive takes no way around `resolutions`. */
import { expect, test } from 'vitest';
import { checkRedrive, type CheckedRedrive } from '../../src/core/redrive.ts';
import { commandRedrive, freezeRedrive } from '../../src/storage/redrives.ts';
import { databaseWith, parked } from './fixtures.ts';

test('a redrive that a workflow starts is refused where a database user has to answer; by SQL it starts', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  await parked(pool, 3);
  await rows(
    `update outbox.destinations set config = config || '{"resolutions": {"retry": "cli", "redirectTo": null}}'`,
  );
  const request = checkRedrive({ destination: 'billing' }, Date.now()) as CheckedRedrive;
  const id = await freezeRedrive(pool, request, null);
  const start = (commandId: string, via: string) =>
    commandRedrive(pool, id, { action: 'start', actor: 'ada', commandId }, via);
  expect(await start('c-1', 'workflow')).toMatchObject({
    outcome: 'refused',
    code: 'OUTBOX_RESOLUTION_DENIED',
  });
  expect(await start('c-2', 'sql')).toMatchObject({ outcome: 'done', events: 3 });
  expect(await rows('select known, outcome, before, after from outbox.audit order by id')).toMatchObject([
    { known: 'claimed', outcome: 'refused' },
    { known: 'session_user', outcome: 'done', before: { state: 'previewed' }, after: { state: 'canary' } },
  ]);
});
