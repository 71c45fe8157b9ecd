import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { messageActions } from '../../core/command.ts';
import { OutboxError } from '../../errors.ts';
import { noteLook } from '../../storage/looks.ts';
import {
  listMessages,
  readMessageAudit,
  readMessageContent,
  readMessageState,
  resolveMessages,
} from '../../storage/messages.ts';
import { readPayload } from '../../encryption/stored.ts';
import { endpoint, type Services } from '../endpoint.ts';
import { destination as producerName, limit, uuid, why } from '../inputs.ts';
import { withoutPayload } from './letters.ts';

const linesShown = 20;

async function stateOf({ pool }: Services, id: string) {
  const state = await readMessageState(pool, id);
  if (state === undefined) throw new OutboxError('OUTBOX_NOT_FOUND', `there is no half message ${id}`);
  return state;
}

const summaries = {
  commit: 'Makes the message an event.',
  rollback: 'Takes the message back.',
  check: 'Asks its producer again, its schedule from the beginning.',
} as const;

export const messageEndpoints = [
  endpoint({
    method: 'GET',
    path: '/half-messages',
    operationId: 'listHalfMessages',
    summary: 'Half messages, the newest first.',
    need: 'look',
    query: z.strictObject({
      status: z.enum(['open', 'parked', 'settled', 'all']).default('open'),
      producer: producerName.optional(),
      cursor: uuid.optional(),
      limit: limit(200, 50),
    }),
    handle: async ({ pool, query }) => {
      const { status, producer, cursor = null, limit: most } = query;
      const filter = { status, ...(producer === undefined ? {} : { producer }) };
      const found = await listMessages(pool, filter, cursor, most + 1);
      const items = found.slice(0, most);
      return { items, next: found.length > most ? (items.at(-1)?.id ?? null) : null };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/half-messages/{message}',
    operationId: 'readHalfMessage',
    audited: true,
    summary: 'One of them, without its payload, and what was done about it.',
    need: 'look',
    handle: async (call) => {
      const id = call.params['message'] ?? '';
      const state = await stateOf(call, id);
      const content = await readMessageContent(call.pool, id);
      return {
        ...state,
        workflowUrl: state.workflowId === null ? null : call.workflowUrl(state.workflowId),
        content: content === undefined ? null : withoutPayload(content),
        audit: await readMessageAudit(call.pool, id, linesShown),
      };
    },
  }),
  endpoint({
    method: 'POST',
    path: '/half-messages/{message}/payload',
    operationId: 'lookAtHalfMessagePayload',
    summary: 'Its payload. The look stands in the audit.',
    need: 'payloads',
    body: z.strictObject({}),
    handle: async (call) => {
      const id = call.params['message'] ?? '';
      const { type } = await stateOf(call, id);
      const content = await readMessageContent(call.pool, id);
      if (content === undefined)
        throw new OutboxError('OUTBOX_NOT_FOUND', 'its content is no longer in the database');
      await noteLook(call.pool, {
        actor: call.who.name,
        what: `payload of half message ${id}`,
        eventId: id,
        destination: null,
      });
      return { ...(await readPayload(type, content, call.keys)), headers: content.headers };
    },
  }),
  ...messageActions.map((action) =>
    endpoint({
      method: 'POST',
      path: `/half-messages/{message}/${action}`,
      operationId: `${action}HalfMessage`,
      summary: summaries[action],
      need: 'act',
      body: why,
      handle: async (call) => {
        const id = call.params['message'] ?? '';
        await stateOf(call, id);
        const command = {
          ...{ action, events: [id], actor: call.who.name, commandId: randomUUID() },
          ...(call.body.reason === undefined ? {} : { reason: call.body.reason }),
        };
        const { outcome, message } = await resolveMessages(call.pool, null, command, 'dashboard');
        if (outcome === 'refused') throw new OutboxError('OUTBOX_COMMAND_REFUSED', message);
        return { id, action, outcome, message };
      },
    }),
  ),
];
