import { randomUUID } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { resolutionActions } from '../../src/core/command.ts';
import type { ResolutionAnswer } from '../../activities/index.ts';
import { eventually } from '../support/index.ts';
import { auditOf, episodes, openStage, pageOf, settled, statusOf, type Stage } from './stage.ts';

/** What it is, and what the refusal says. `edit`, `redirect` and `discard` take none of these either. */
const junk: readonly (readonly [what: string, input: unknown, why: RegExp])[] = [
  ['null', null, /got null/],
  ['an array', [1, { event: 'x' }], /got an array/],
  ['a number', 42, /got number 42/],
  ['a string', 'please', /got string "please"/],
  ['a boolean', true, /got boolean true/],
  ['an unknown field', { evnt: 'x' }, /does not take "evnt"/],
  ['a field of another signal', { to: 'spare', payload: {} }, /does not take "(to|payload)"/],
  ['__proto__', JSON.parse('{"__proto__": {"all": true}}'), /does not take "__proto__"/],
  ['an id that is none', { event: 'everything' }, /"event" is an event id/],
  ['ids that are none', { event: [null] }, /"event" is an event id/],
  ['no ids', { event: [] }, /"event" names 0 ids/],
  ['too many ids', { event: Array.from({ length: 1001 }, () => randomUUID()) }, /names 1001 ids/],
  ['the id of another event', { event: randomUUID() }, /not parked in this workflow/],
  ['an actor that is no text', { actor: { name: 'ada' } }, /"actor" is a text/],
  ['a reason with NUL', { reason: 'a\0b' }, /"reason" is a text/],
  ['a reason with half a character', { reason: '\ud83d' }, /"reason" is a text/],
  ['an oversized reason', { reason: 'x'.repeat(100_000) }, /"reason" is a text of at most 1000/],
  ['"all" that is no boolean', { all: 'yes' }, /"all" is true or false/],
];

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

test.for(resolutionActions)(
  'junk sent as %s leaves the workflow waiting, each with a line saying why',
  async (action) => {
    const { id, workflowId } = await stage.parkOne();
    const handle = stage.client.workflow.getHandle(workflowId);
    for (const [, input] of junk) await handle.signal(action, input);
    const lines = await eventually(async () => {
      const found = await auditOf(stage.database, workflowId);
      expect(found).toHaveLength(junk.length);
      return found;
    });
    for (const [index, [what, , why]] of junk.entries()) {
      expect(lines[index], what).toMatchObject({ action, via: 'signal', outcome: 'refused', events: 0 });
      expect(lines[index]?.message, what).toMatch(action === 'redirect' || action === 'edit' ? /./ : why);
    }
    // The same as updates: the answer says it.
    for (const [what, input, why] of junk) {
      const answer = await handle.executeUpdate<ResolutionAnswer, [unknown]>(action, { args: [input] });
      expect(answer.outcome, what).toBe('refused');
      if (action === 'retry' || action === 'discard') expect(answer.message, what).toMatch(why);
    }
    await eventually(async () => expect(await pageOf(stage.client, workflowId)).toContain('**refused**'));
    expect(await statusOf(stage.client, workflowId)).toBe('RUNNING');
    expect(await episodes(stage.database, id)).toMatchObject([{ resolution: null }]);

    stage.heal(id);
    await handle.signal('retry');
    await settled(stage.database, [id]);
  },
);

const wrong: readonly (readonly [action: string, input: unknown, why: RegExp])[] = [
  ['edit', undefined, /say what to change/],
  ['edit', {}, /say what to change/],
  ['edit', { headers: [] }, /"headers" is an object whose values are strings/],
  ['edit', { headers: { a: 1 } }, /"headers" is an object whose values are strings/],
  ['edit', { headers: { 'x-long': 'y'.repeat(20_000) } }, /headers an object of strings of at most 16 KiB/],
  ['edit', { revision: 1 }, /"revision" is the number of a stored revision/],
  ['edit', { revision: 7 }, /revision 7 of this delivery does not exist/],
  ['edit', { revision: 'two' }, /"revision" is the number/],
  ['edit', { payload: 'x'.repeat(1_100_000) }, /payload at most 1 MiB/],
  ['edit', { payload: 'x'.repeat(1_500_000) }, /at most 1114112 are taken/],
  ['redirect', undefined, /say where to/],
  ['redirect', { to: '' }, /say where to/],
  ['redirect', { to: 7 }, /"to" is a text/],
  ['redirect', { to: 'billing' }, /has, or had, a delivery to billing|has a delivery/],
];

test('an edit or redirect that says too little, too much or the wrong thing is refused with the cure', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  for (const [action, input, why] of wrong) {
    const answer = await handle.executeUpdate<ResolutionAnswer, [unknown]>(action, { args: [input] });
    expect(answer, JSON.stringify([action, input]).slice(0, 200)).toMatchObject({ outcome: 'refused' });
    expect(answer.message).toMatch(why);
  }
  expect(await auditOf(stage.database, workflowId)).toHaveLength(wrong.length);
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: null }]);
  expect(stage.billing.of(id)).toHaveLength(1);
});

test('ten signals of a megabyte at once are answered one by one; none of them is too much for an activity', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  const payload = { answer: 422, text: 'ä'.repeat(500_000) };
  await Promise.all(
    Array.from({ length: 10 }, () => handle.signal('edit', { payload, event: randomUUID() })),
  );
  await eventually(async () => expect(await auditOf(stage.database, workflowId)).toHaveLength(10));
  expect(await statusOf(stage.client, workflowId)).toBe('RUNNING');
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: null }]);
});

test('an unknown signal and an unknown update change nothing', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal('rety', {});
  await expect(handle.executeUpdate('rety', { args: [{}] })).rejects.toThrow();
  stage.heal(id);
  await handle.signal('retry');
  await settled(stage.database, [id]);
});
