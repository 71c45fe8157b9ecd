import * as z from 'zod';
import { OutboxError } from '../../errors.ts';
import type { Pool } from '../../storage/connect.ts';
import { listDeadLetters, readAttempts } from '../../storage/deadLetters.ts';
import { readDeliveries, readEvent, readEventAudit, readRevisions } from '../../storage/eventStory.ts';
import { noteLook } from '../../storage/looks.ts';
import { isUnrouted } from '../../storage/status.ts';
import { readPayload } from '../../encryption/stored.ts';
import { endpoint, type Services } from '../endpoint.ts';
import { withoutPayload } from './letters.ts';

const linesShown = 50;

async function storyOf({ pool, workflowUrl }: Services, id: string) {
  const [event, deliveries, letters, revisions, audit, unrouted] = await Promise.all([
    readEvent(pool, id),
    readDeliveries(pool, id),
    listDeadLetters(pool, { status: 'all', eventId: id }, null, linesShown),
    readRevisions(pool, id),
    readEventAudit(pool, id, linesShown),
    isUnrouted(pool, id),
  ]);
  if (event === undefined && deliveries.length + letters.length + audit.length === 0) throw noEvent(id);
  return {
    id,
    event: event === undefined ? null : withoutPayload(event),
    unrouted,
    deliveries: deliveries.map((each) => ({
      ...each,
      workflowUrl: each.workflowId === null ? null : workflowUrl(each.workflowId),
    })),
    attempts: await attemptsOf(pool, id, [...deliveries, ...letters]),
    letters: letters.toReversed(),
    revisions: revisions.map(withoutPayload),
    audit,
  };
}

async function attemptsOf(pool: Pool, id: string, at: readonly { readonly destination: string }[]) {
  const names = [...new Set(at.map(({ destination }) => destination))].sort();
  const found = await Promise.all(
    names.map(async (destination) => ({
      destination,
      attempts: await readAttempts(pool, id, destination, linesShown),
    })),
  );
  return found.filter(({ attempts }) => attempts.length > 0);
}

function noEvent(id: string): OutboxError {
  return new OutboxError('OUTBOX_NOT_FOUND', `there is no event ${id}`, {
    hint: 'Events go with their day, retention.events after they were written.',
  });
}

export const eventEndpoints = [
  endpoint({
    method: 'GET',
    path: '/events/{event}',
    operationId: 'readEvent',
    audited: true,
    summary:
      'The whole story of an event: where each delivery stands, attempts, park episodes, edits, commands.',
    need: 'look',
    handle: (call) => storyOf(call, call.params['event'] ?? ''),
  }),
  endpoint({
    method: 'POST',
    path: '/events/{event}/payload',
    operationId: 'lookAtEventPayload',
    summary: 'Its payload as it was written. The look stands in the audit.',
    need: 'payloads',
    body: z.strictObject({}),
    handle: async ({ pool, params, who, keys }) => {
      const id = params['event'] ?? '';
      const event = await readEvent(pool, id);
      if (event === undefined) throw noEvent(id);
      await noteLook(pool, {
        actor: who.name,
        what: `payload of event ${id}`,
        eventId: id,
        destination: null,
      });
      const { headers, erasedAt } = event;
      return { ...(await readPayload(event.type, event, keys)), headers, erasedAt };
    },
  }),
];
