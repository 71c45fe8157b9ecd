/** Events whose types and payloads are known: by the compiler, and by schemas at run time. */
import { beforeAll, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineEvents } from '../../src/produce/defineEvents.ts';
import type { StandardSchema } from '../../src/produce/standardSchema.ts';
import { createTestDatabase, type TestDatabase } from '../support/index.ts';

let database: TestDatabase;
const own = { ownTransaction: true };

beforeAll(async () => {
  database = await createTestDatabase();
});

const schemas = {
  'order.created': z.object({ id: z.string(), total: z.number().positive(), at: z.coerce.date().optional() }),
  'order.paid': z.object({ id: z.string() }),
};
const events = defineEvents(schemas);

async function written(id: string): Promise<string | undefined> {
  const [row] = await database.rows<{ payload: string }>(
    'select payload::text from outbox.events where id = $1',
    [id],
  );
  return row?.payload;
}

async function rejected(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: 'OUTBOX_EVENT_INVALID' });
  return (error as Error).message;
}

test('what its schema makes of a payload is written', async () => {
  const payload = { id: 'o-1', total: 2, at: '2030-01-01', extra: 'dropped' };
  const { id } = await events.enqueue(database.pool, { type: 'order.created', key: 'o-1', payload }, own);
  expect(await written(id)).toBe('{"at": "2030-01-01T00:00:00.000Z", "id": "o-1", "total": 2}');
  expect(events.types).toEqual(['order.created', 'order.paid']);
});

test('one payload that does not fit refuses all of a list before anything is sent, and says where', async () => {
  const [{ count: before } = { count: '' }] = await database.rows<{ count: string }>(
    'select count(*) from outbox.events',
  );
  const message = await rejected(
    events.enqueue(
      database.pool,
      [
        { type: 'order.paid', payload: { id: 'o-1' } },
        { type: 'order.created', payload: { id: 'o-1', total: -1 } },
      ],
      own,
    ),
  );
  expect(message).toMatch(/^order\.created: payload\.total: /);
  expect(await database.rows('select count(*) from outbox.events')).toEqual([{ count: before }]);
});

test('a text is validated and written digit for digit', async () => {
  const payloadText = '{"id": "o-1", "total": 12345678901234567891}';
  const { id } = await events.enqueue(database.pool, { type: 'order.created', payloadText }, own);
  expect(await written(id)).toBe(payloadText);
  expect(await rejected(events.checked({ type: 'order.created', payloadText: '{"id": 7}' }))).toContain(
    'payload.id',
  );
});

test('a type that was not defined is refused, and the nearest named', async () => {
  const event = { type: 'order.payed', payload: { id: 'o-1' } } as never;
  expect(await rejected(events.checked(event))).toContain('did you mean order.paid?');
});

test('any library of Standard Schema will do, one that answers later too', async () => {
  const even: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) =>
        typeof value === 'number' && value % 2 === 0
          ? { value }
          : { issues: [{ message: 'expected an even number', path: [{ key: 'a' }, 0] }] },
    },
  };
  const numbers = defineEvents({ 'number.drawn': even });
  expect(await rejected(numbers.checked({ type: 'number.drawn', payload: 3 }))).toBe(
    'number.drawn: payload.a[0]: expected an even number',
  );
  expect(await numbers.checked({ type: 'number.drawn', payload: 4 })).toMatchObject({ payload: 4 });
});

test('the compiler knows which payload belongs to which type', async () => {
  interface Order {
    id: string;
    total: number;
  }
  const typed = defineEvents<{ 'order.created': Order; 'order.paid': { id: string } }>();
  const order: Order = { id: 'o-1', total: 1 };
  const { id } = await typed.enqueue(database.pool, { type: 'order.created', payload: order }, own);
  expect(await written(id)).toBe('{"id": "o-1", "total": 1}');
  expectTypeOf(typed.types).toEqualTypeOf<readonly ('order.created' | 'order.paid')[]>();
  // @ts-expect-error total is missing
  void typed.checked({ type: 'order.created', payload: { id: 'o-1' } });
  // @ts-expect-error there is no such type
  void typed.checked({ type: 'order.gone', payload: { id: 'o-1' } });
  // @ts-expect-error what zod takes: total is a number
  void events.checked({ type: 'order.created', payload: { id: 'o-1', total: '1' } }).catch(() => undefined);
});
