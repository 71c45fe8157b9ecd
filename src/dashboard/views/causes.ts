import * as z from 'zod';
import { OutboxError } from '../../errors.ts';
import { listCauses, noteCause } from '../../storage/causes.ts';
import { endpoint } from '../endpoint.ts';
import { destination, limit, note, owner } from '../inputs.ts';

export const causeEndpoints = [
  endpoint({
    method: 'GET',
    path: '/causes',
    operationId: 'listCauses',
    summary: 'Why dead letters are parked, those with most open letters first.',
    need: 'look',
    query: z.strictObject({
      destination: destination.optional(),
      all: z.enum(['true', 'false']).optional(),
      limit: limit(500, 100),
    }),
    handle: async ({ pool, query }) => {
      const filter = {
        ...(query.destination === undefined ? {} : { destination: query.destination }),
        all: query.all === 'true',
      };
      // One more than asked for tells whether there are more.
      const found = await listCauses(pool, filter, query.limit + 1);
      return { items: found.slice(0, query.limit), more: found.length > query.limit };
    },
  }),
  endpoint({
    method: 'GET',
    path: '/causes/{cause}',
    operationId: 'readCause',
    summary: 'One of them.',
    need: 'look',
    handle: async ({ pool, params }) => {
      const [found] = await listCauses(pool, { id: params['cause'] ?? '', all: true }, 1);
      if (found === undefined) throw noCause(params['cause']);
      return found;
    },
  }),
  endpoint({
    method: 'PATCH',
    path: '/causes/{cause}',
    operationId: 'noteCause',
    summary:
      'Writes a note and an owner to a cause; a field that is left out stays, an empty text takes away.',
    need: 'act',
    body: z.strictObject({ note, owner }),
    handle: async ({ pool, params, body, who }) => {
      const id = params['cause'] ?? '';
      const given = {
        ...(body.note === undefined ? {} : { note: body.note }),
        ...(body.owner === undefined ? {} : { owner: body.owner }),
      };
      if (!(await noteCause(pool, id, { ...given, actor: who.name }))) throw noCause(id);
      const [found] = await listCauses(pool, { id, all: true }, 1);
      return found;
    },
  }),
];

function noCause(id: string | undefined): OutboxError {
  return new OutboxError('OUTBOX_NOT_FOUND', `there is no cause ${id}`, {
    hint: 'temporal-outbox dlq causes --all',
  });
}
