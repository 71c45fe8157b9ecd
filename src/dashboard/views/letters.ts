import * as z from 'zod';
import { notFound } from '../../deadletter/letters.ts';
import { OutboxError } from '../../errors.ts';
import type { Queryable } from '../../storage/connect.ts';
import {
  findDeadLetters,
  listDeadLetters,
  readAttempts,
  readAudit,
  readDeadLetterEvent,
  readDeliveryState,
  readEpisodes,
  type DeadLetter,
} from '../../storage/deadLetters.ts';
import { noteLook } from '../../storage/looks.ts';
import { pauseNoteOf } from '../../storage/paused.ts';
import { readBlockedKeys } from '../../storage/status.ts';
import { readWaiting } from '../../storage/waiting.ts';
import { readPayload } from '../../encryption/stored.ts';
import { endpoint, type Services } from '../endpoint.ts';
import { cause, cursor, destination, eventType, limit, parkedFor, text, uuid } from '../inputs.ts';

const linesShown = 50;
const waitingShown = 20;

/** What a command says it has seen: another episode or revision is another letter to whoever looked at the page. */
export function versionOf({ id, episode, revision, resolvedAt }: DeadLetter): string {
  return `"${id}.${episode}.${revision}${resolvedAt === null ? '' : '.resolved'}"`;
}

export async function letterOf(db: Queryable, id: string | undefined): Promise<DeadLetter> {
  const [letter] = await findDeadLetters(db, [Number(id)]);
  if (letter === undefined) throw notFound([Number(id)]);
  return letter;
}

async function readLetter({ pool, workflowUrl }: Services, id: string | undefined) {
  const letter = await letterOf(pool, id);
  const { eventId, destination: at } = letter;
  const [event, attempts, episodes, audit, delivery, [blocked], paused] = await Promise.all([
    readDeadLetterEvent(pool, letter.id),
    readAttempts(pool, eventId, at, linesShown),
    readEpisodes(pool, eventId, at),
    readAudit(pool, letter, linesShown),
    readDeliveryState(pool, eventId, at),
    readBlockedKeys(pool, 1, { eventId, destination: at }),
    letter.resolvedAt === null ? pauseNoteOf(pool, letter.workflowId) : null,
  ]);
  return {
    ...letter,
    version: versionOf(letter),
    workflowUrl: workflowUrl(letter.workflowId),
    delivery,
    /** Who paused its workflow in the Temporal UI, and why; null when nobody was seen to. */
    workflowPaused: paused,
    queue:
      blocked === undefined
        ? null
        : {
            key: blocked.key,
            waiting: blocked.waiting,
            first: await readWaiting(pool, at, blocked.key, waitingShown),
          },
    event: event === undefined ? null : withoutPayload(event),
    attemptHistory: attempts,
    otherEpisodes: episodes.filter((episode) => episode.id !== letter.id),
    audit,
  };
}

/** How large it is may be known by everybody: it tells why something takes long. */
export function withoutPayload<
  Event extends { readonly payloadText: string | null; readonly payloadBase64: string | null },
>({ payloadText, payloadBase64, ...rest }: Event) {
  const bytes =
    payloadBase64 === null
      ? Buffer.byteLength(payloadText ?? '')
      : Buffer.byteLength(payloadBase64, 'base64');
  return {
    ...rest,
    payloadKind: payloadBase64 === null ? ('json' as const) : ('bytes' as const),
    payloadSize: bytes,
  };
}

export const letterEndpoints = [
  endpoint({
    method: 'GET',
    path: '/letters',
    operationId: 'listLetters',
    summary: 'Dead letters, the newest first; `next` is the cursor of the page after it.',
    need: 'look',
    query: z.strictObject({
      status: z.enum(['open', 'resolved', 'all']).default('open'),
      destination: destination.optional(),
      type: eventType.optional(),
      reason: parkedFor.optional(),
      cause: cause.optional(),
      text: text(1000).optional(),
      event: uuid.optional(),
      cursor,
      limit: limit(200, 50),
    }),
    handle: async ({ pool, query }) => {
      const { event, cursor: before = null, limit: most, ...filter } = query;
      const given = { ...filter, ...(event === undefined ? {} : { eventId: event }) };
      const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
      const found = await listDeadLetters(pool, { status: query.status, ...defined }, before, most + 1);
      const items = found.slice(0, most);
      return { items, next: found.length > most ? (items.at(-1)?.id ?? null) : null };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/letters/{letter}',
    operationId: 'readLetter',
    audited: true,
    summary:
      'One dead letter: its event without the payload, its attempts, the queue behind it, what was done.',
    need: 'look',
    handle: (call) => readLetter(call, call.params['letter']),
  }),
  endpoint({
    method: 'POST',
    path: '/letters/{letter}/payload',
    operationId: 'lookAtLetterPayload',
    summary: 'The payload, JSON as PostgreSQL prints it or bytes in base64. The look stands in the audit.',
    need: 'payloads',
    body: z.strictObject({}),
    handle: async ({ pool, params, who, keys }) => {
      const letter = await letterOf(pool, params['letter']);
      const event = await readDeadLetterEvent(pool, letter.id);
      if (event === undefined)
        throw new OutboxError('OUTBOX_NOT_FOUND', 'its event is no longer in the database');
      const { headers } = event;
      // Before it is answered: what cannot be written down is not shown.
      await noteLook(pool, {
        actor: who.name,
        what: `payload of dead letter ${letter.id}`,
        eventId: letter.eventId,
        destination: letter.destination,
      });
      return { ...(await readPayload(letter.eventType, event, keys)), headers, version: versionOf(letter) };
    },
  }),
];
