import { expect, test } from 'vitest';
import { destinationActions } from '../../src/core/command.ts';
import type { ResolutionAnswer } from '../../activities/index.ts';
import { eventually, runCli } from '../support/index.ts';
import { pageOf } from '../resolve/stage.ts';
import { allDelivered, auditOf, command, openStage, stands, type Stage } from './stage.ts';

async function cli(stage: Stage, ...args: string[]) {
  const { code, stdout, stderr } = await runCli([...args, '--json'], { databaseUrl: stage.database.url });
  return { code, out: JSON.parse(stdout || stderr) as Record<string, unknown> };
}

test('the command line pauses, lists, probes, parks and resumes, each with who and why, and says what it refuses', async () => {
  const stage = await openStage();
  const why = ['--actor', 'ada', '--reason', 'maintenance'];
  expect(await cli(stage, 'destinations', 'pause', 'billing', ...why)).toMatchObject({
    code: 0,
    out: { action: 'pause', destination: 'billing', outcome: 'done' },
  });
  const ids = await stage.send(3);
  expect(await cli(stage, 'destinations', 'pause', 'billing')).toMatchObject({
    code: 1,
    out: {
      outcome: 'refused',
      message: expect.stringMatching(/paused already, since .*: maintenance/) as string,
    },
  });
  const [{ out }, status] = await Promise.all([cli(stage, 'destinations', 'list'), cli(stage, 'status')]);
  expect(out['items']).toMatchObject([
    {
      destination: 'billing',
      state: 'paused',
      reason: 'maintenance',
      pending: 3,
      workflowId: stage.workflowId,
    },
    { destination: 'healthy', state: 'closed', reason: null, since: null },
  ]);
  expect(status.out['destinations']).toMatchObject([{ paused: true, circuit: 'closed' }, { paused: false }]);
  // A probe of a paused destination sends its few events, and leaves it paused.
  expect(await cli(stage, 'destinations', 'probe', 'billing')).toMatchObject({
    code: 0,
    out: { message: '3 of 3 acknowledged; it stays paused until it is resumed' },
  });
  await allDelivered(stage.database, ids);
  expect((await stage.standing()).paused).toBe(true);
  expect(await cli(stage, 'destinations', 'park', 'billing', '--older-than', '1d')).toMatchObject({
    code: 0,
    out: { events: 0 },
  });
  expect(await cli(stage, 'destinations', 'resume', 'billing', ...why)).toMatchObject({ code: 0 });
  expect(await auditOf(stage.database)).toMatchObject([
    { action: 'pause', outcome: 'done', actor: 'ada', reason: 'maintenance' },
    { action: 'pause', outcome: 'refused' },
    { action: 'probe', outcome: 'done' },
    { action: 'park', outcome: 'done' },
    { action: 'resume', outcome: 'done', actor: 'ada', reason: 'maintenance' },
  ]);
}, 180_000);

test('wrong use ends with 2, an unknown destination with 1 and the names there are', async () => {
  const stage = await openStage({ run: false });
  const runs = await Promise.all([
    cli(stage, 'destinations', 'pause'),
    cli(stage, 'destinations', 'park', 'billing'),
    cli(stage, 'destinations', 'park', 'billing', '--older-than', 'old'),
    cli(stage, 'destinations', 'pause', 'biling'),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([2, 2, 2, 1]);
  expect(runs[3]?.out).toMatchObject({
    error: { code: 'OUTBOX_NOT_FOUND', hint: 'Did you mean billing? There are: billing, healthy' },
  });
});

test('nobody to carry a command out is said, with what to do, and exit code 3', async () => {
  const stage = await openStage({ run: false });
  const answer = await cli(stage, 'destinations', 'pause', 'billing', '--timeout', '3s');
  expect(answer).toMatchObject({ code: 3, out: { error: { code: 'OUTBOX_NO_ANSWER' } } });
});

test('junk sent to a destination’s workflow is refused with a line saying why, and changes nothing', async () => {
  const stage = await openStage();
  await command(stage, 'pause', { reason: 'maintenance' });
  const handle = stage.client.workflow.getHandle(stage.workflowId);
  const junk: readonly unknown[] = [
    null,
    [1],
    42,
    'please',
    true,
    { evnt: 'x' },
    { actor: 7 },
    { reason: 'a\0b' },
  ];
  for (const action of destinationActions) {
    for (const input of junk) await handle.signal(action, input);
    for (const input of junk) {
      const answer = await handle.executeUpdate<ResolutionAnswer, [unknown]>(action, { args: [input] });
      expect(answer.outcome, `${action} ${JSON.stringify(input)}`).toBe('refused');
    }
  }
  for (const input of [undefined, {}, { olderThan: 7 }, { olderThan: '5 years' }, { olderThan: '' }]) {
    const answer = await handle.executeUpdate<ResolutionAnswer, [unknown]>('park', { args: [input] });
    expect(answer, JSON.stringify(input)).toMatchObject({ outcome: 'refused' });
  }
  await handle.signal('pauze', {});
  const lines = await auditOf(stage.database);
  expect(lines.filter(({ outcome }) => outcome === 'refused')).toHaveLength(
    destinationActions.length * junk.length * 2 + 5,
  );
  expect(await stands(stage, 'paused')).toMatchObject({ reason: 'maintenance' });
  await eventually(async () => {
    const page = await pageOf(stage.client, stage.workflowId);
    expect(page).toContain('billing is **paused**, waiting for a person');
    expect(page).toContain('maintenance');
    expect(page).toContain('`resume`');
  });
  await command(stage, 'resume');
  await eventually(async () => expect((await handle.describe()).status.name).toBe('COMPLETED'));
});

test('the page of an open circuit says what failed, since when, and when it is probed next', async () => {
  const stage = await openStage({ answer: 503, probeAfter: '1m' });
  await stage.send(30);
  await stands(stage, 'open');
  await eventually(async () => {
    const page = await pageOf(stage.client, stage.workflowId);
    expect(page).toContain('The circuit of billing is **open**');
    expect(page).toMatch(/since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: unreachable \d+ times in a row/);
    expect(page).toContain('last answer: **HTTP 503**');
    expect(page).toMatch(/30 waiting to be sent/);
    expect(page).toMatch(/next probe \d{4}-/);
  });
  // Asked to, it probes at once.
  stage.billing.answer(204);
  const answer = await command(stage, 'probe', { actor: 'ada' });
  expect(answer).toMatchObject({ outcome: 'done', message: '30 events went through: its circuit is closed' });
  expect(await command(stage, 'probe')).toMatchObject({ outcome: 'refused' });
});
