/** Redrives as everybody sees them: those that run, those that are over, and what became of each letter. */
import * as z from 'zod';
import { redriveWorkflowId } from '../../core/ids.ts';
import { OutboxError } from '../../errors.ts';
import { createRedrives, type RedriveSample } from '../../redrive/index.ts';
import { noteLook } from '../../storage/looks.ts';
import { listRedrives, membersOf } from '../../storage/redrives.ts';
import { endpoint, type Call, type Services } from '../endpoint.ts';
import { cursor, limit } from '../inputs.ts';

const sampleShown = 5;
export const memberStates = ['frozen', 'waiting', 'sent', 'done', 'failed', 'skipped', 'left'] as const;

/** What an edit makes of a payload is for those alone who may look at payloads. */
export function withoutTexts({ before, after: _after, ...rest }: RedriveSample) {
  return { ...rest, isEdited: before !== null };
}

export async function readOneRedrive({ pool, name, workflowUrl }: Services, id: number) {
  const redrives = createRedrives({ db: pool, name });
  const { redrive, skipped, audit, waitingForSecond } = await redrives.status(id);
  const sample = await redrives.sample(id, sampleShown);
  const workflowId = redrive.workflowId ?? redriveWorkflowId(name, id);
  return {
    ...redrive,
    workflowId,
    workflowUrl: redrive.startedAt === null ? null : workflowUrl(workflowId),
    skippedWhy: skipped,
    sample: sample.map(withoutTexts),
    audit,
    waitingForSecond,
  };
}

async function shownTexts({ pool, name, params, who }: Call<unknown, unknown>) {
  const id = Number(params['redrive']);
  const redrives = createRedrives({ db: pool, name });
  const { redrive } = await redrives.status(id);
  if (redrive.action !== 'edit')
    throw new OutboxError('OUTBOX_NOT_FOUND', `redrive ${id} edits no payload: it is a ${redrive.action}`);
  const items = await redrives.sample(id, sampleShown);
  // Before it is answered: what cannot be written down is not shown.
  for (const { letterId, eventId, destination } of items)
    await noteLook(pool, {
      actor: who.name,
      what: `payload of dead letter ${letterId}`,
      eventId,
      destination,
    });
  return {
    items: items.map(({ letterId, before, after, problem }) => ({ letterId, before, after, problem })),
  };
}

export const redriveEndpoints = [
  endpoint({
    method: 'GET',
    path: '/redrives',
    operationId: 'listRedrives',
    summary: 'Redrives, the newest first: previews, those that run, and those that are over.',
    need: 'look',
    query: z.strictObject({ limit: limit(200, 50) }),
    handle: async ({ pool, query }) => {
      const found = await listRedrives(pool, query.limit + 1);
      return { items: found.slice(0, query.limit), more: found.length > query.limit };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/redrives/{redrive}',
    operationId: 'readRedrive',
    audited: true,
    summary: 'One of them: its progress, why letters were skipped, its first letters, and who did what.',
    need: 'look',
    handle: (call) => readOneRedrive(call, Number(call.params['redrive'])),
  }),
  endpoint({
    method: 'GET',
    path: '/redrives/{redrive}/members',
    operationId: 'listRedriveMembers',
    summary:
      'What became of each letter, in the order in which they go; `next` is the cursor of what follows.',
    need: 'look',
    query: z.strictObject({ state: z.enum(memberStates).optional(), cursor, limit: limit(1000, 100) }),
    handle: async ({ pool, params, query }) => {
      const { state = null, cursor: after = 0, limit: most } = query;
      const found = await membersOf(pool, Number(params['redrive']), after, most + 1, state);
      const items = found.slice(0, most);
      return { items, next: found.length > most ? (items.at(-1)?.ordinal ?? null) : null };
    },
  }),
  endpoint({
    method: 'POST',
    path: '/redrives/{redrive}/payloads',
    operationId: 'lookAtRedrivePayloads',
    summary: 'What an edit makes of the first payloads, before and after. Each look stands in the audit.',
    need: 'payloads',
    body: z.strictObject({}),
    handle: shownTexts,
  }),
];
