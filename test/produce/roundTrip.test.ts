import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { enqueue, type JsonPayload } from '../../src/index.ts';
import type { TestDatabase } from '../support/index.ts';
import { databaseWith } from '../storage/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
});

async function payloadsOf(ids: readonly string[]): Promise<string[]> {
  const rows = await database.rows<{ payload: string }>(
    'select e.payload::text from unnest($1::uuid[]) with ordinality u(id, n) join outbox.events e using (id) order by n',
    [ids],
  );
  return rows.map(({ payload }) => payload);
}

/** Every JSON value that PostgreSQL can hold: no NUL, whole characters. -0 is 0 in JSON.stringify already. */
const jsonValue = fc
  .jsonValue({ stringUnit: 'binary', maxDepth: 4 })
  .filter((value) => !JSON.stringify(value).includes('\\u0000'))
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonPayload);

test('any JSON value comes back as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(jsonValue, { minLength: 1, maxLength: 20 }), async (values) => {
      const written = await enqueue(
        database.pool,
        values.map((payload) => ({ type: 'a', payload })),
        { ownTransaction: true },
      );
      const texts = await payloadsOf(written.map(({ id }) => id));
      expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual(values);
    }),
    { numRuns: 60 },
  );
});

test('any text goes into key and headers and comes back, or is refused before it is sent', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }), async (text) => {
      const writing = enqueue(
        database.pool,
        { type: 'a', payload: 1, key: text, headers: { x: text } },
        { ownTransaction: true },
      );
      if (text.includes('\0')) {
        await expect(writing).rejects.toMatchObject({
          code: 'OUTBOX_EVENT_INVALID',
          hint: 'Nothing was written.',
        });
        return;
      }
      const { id } = await writing;
      expect(
        await database.rows(`select key, headers ->> 'x' as x from outbox.events where id = $1`, [id]),
      ).toEqual([{ key: text, x: text }]);
    }),
    { numRuns: 60 },
  );
});

test('payloadText keeps every digit of any integer and decimal', async () => {
  const number = fc
    .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 60n }), fc.option(fc.stringMatching(/^\d{1,30}$/)))
    .map(
      ([negative, whole, decimals]) =>
        `${negative && whole > 0n ? '-' : ''}${whole}${decimals === null ? '' : `.${decimals}`}`,
    );
  await fc.assert(
    fc.asyncProperty(fc.array(number, { minLength: 1, maxLength: 20 }), async (numbers) => {
      const written = await enqueue(
        database.pool,
        numbers.map((payloadText) => ({ type: 'a', payloadText })),
        { ownTransaction: true },
      );
      expect(await payloadsOf(written.map(({ id }) => id))).toEqual(numbers);
    }),
    { numRuns: 60 },
  );
});
