/** `events.<type>.enforced`: the database holds payloads to their schema, whoever writes them. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { notEnforceable } from '../../src/config/enforceable.ts';
import { compileSchema } from '../../src/config/payloadSchema.ts';
import { issueText } from '../../src/produce/standardSchema.ts';
import { commitMessage, encryptEvent, encryptionKeys, enqueue, prepareMessage } from '../../src/index.ts';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { nowhere } from './fixtures.ts';

const schema = {
  type: 'object',
  required: ['id', 'total'],
  additionalProperties: false,
  properties: {
    id: { type: 'string', pattern: '^o-\\d+$' },
    total: { type: 'number', exclusiveMinimum: 0 },
    lines: { type: 'array', items: { $ref: '#/$defs/line' } },
  },
  $defs: { line: { type: 'object', required: ['sku'] } },
};
const configOf = (enforced: boolean) => `
  destinations: { billing: { type: http, url: '${nowhere}' } }
  routes: [{ match: '*', to: [billing] }]
  producers: { shop: { checkBack: { handler: shop, grace: 1h } } }
  events:
    order.created: { schema: ${JSON.stringify(schema)}, enforced: ${enforced} }
    order.closed: { schema: { type: object } }`;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await applyTestConfig(database, configOf(true));
});

const insert = (type: string, payload: unknown) =>
  database.pool.query('insert into outbox.events (type, payload) values ($1, $2)', [
    type,
    JSON.stringify(payload),
  ]);

const good = { id: 'o-1', total: 80, lines: [{ sku: 'a' }] };

describe('an event that does not fit is refused', () => {
  test.each([
    [{ id: 'o-1' }, `order.created: payload: must have required property 'total'`],
    [{ id: 'o-1', total: 1, totl: 1 }, 'payload: must NOT have additional properties ("totl")'],
    [{ id: 1, total: 1 }, 'payload.id: must be string'],
    [{ id: 'x-1', total: 1 }, 'payload.id: must match pattern'],
    [{ id: 'o-1', total: 0 }, 'payload.total: must be > 0'],
    [{ ...good, lines: [{ sku: 1 }, {}] }, `payload.lines[1]: must have required property 'sku'`],
    [null, 'payload: must be object'],
  ])('by plain SQL: %j', async (payload, words) => {
    await expect(insert('order.created', payload)).rejects.toMatchObject({
      code: 'OB003',
      message: expect.stringContaining(words) as string,
    });
  });

  test('by enqueue, with its code; by the view of mappers; and as bytes', async () => {
    const wrong = { type: 'order.created', payload: { id: 'o-1' } };
    await expect(enqueue(database.pool, wrong, { ownTransaction: true })).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_INVALID',
    });
    const mapped = `insert into outbox.outgoing_events (type, payload) values ('order.created', '{}') returning *`;
    await expect(database.pool.query(mapped)).rejects.toMatchObject({ code: 'OB003' });
    const bytes = `insert into outbox.events (type, payload_bytes, content_type) values ('order.created', '\\x00', 'application/avro')`;
    await expect(database.pool.query(bytes)).rejects.toMatchObject({ code: 'OB003' });
  });

  test('with all that its statement writes, and nothing else', async () => {
    const count = async () => (await database.rows('select from outbox.events')).length;
    const before = await count();
    const two = [
      { type: 'order.created', payload: good },
      { type: 'order.created', payload: { id: 'o-1' } },
    ];
    await expect(enqueue(database.pool, two, { ownTransaction: true })).rejects.toThrow('total');
    expect(await count()).toBe(before);
    await insert('order.created', good);
    await insert('order.closed', [1]); // its schema is for those who ask
    await insert('other', null);
    expect(await count()).toBe(before + 3);
  });

  test('as a half message when it is prepared, not when it is committed', async () => {
    const message = (payload: object) =>
      prepareMessage(database.pool, { producer: 'shop', type: 'order.created', payload });
    await expect(message({ id: 'o-1' })).rejects.toMatchObject({ code: 'OUTBOX_EVENT_INVALID' });
    await applyTestConfig(database, configOf(false));
    const { id } = await message({ id: 'o-1' });
    await applyTestConfig(database, configOf(true));
    await commitMessage(database.pool, id);
    expect(await database.rows('select from outbox.events where id = $1', [id])).toHaveLength(1);
  });

  test('unless it is encrypted: who encrypts it checks it', async () => {
    const keys = encryptionKeys({ current: 'k1', keys: { k1: Buffer.alloc(32, 1).toString('base64') } });
    const event = await encryptEvent({ type: 'order.created', payload: { id: 'o-1' } }, keys);
    await enqueue(database.pool, event, { ownTransaction: true });
  });
});

const names = fc.constantFrom('id', 'total', 'x-1', 'ä b');
const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 'id', 'o-12', '💶💶', 0, 1, -1, 2.5, 1e20),
  fc.integer({ min: -5, max: 5 }),
);
const value = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(names, tie('any'), { maxKeys: 3 }),
  ),
})).any;
const types = fc.constantFrom('object', 'array', 'string', 'number', 'integer', 'boolean', 'null');
const count = fc.integer({ min: 0, max: 3 });
const patterns = fc.constantFrom('^o-\\d+$', '[a-z]', '^(?:id|x-1)$', '^.{1,2}$', '\\s');
const some = (member: fc.Arbitrary<unknown>) => fc.array(member, { minLength: 1, maxLength: 3 });
/** Half of the keywords of each kind at a time: with all of them nothing would ever fit. */
const anySchema = fc.letrec<{ any: unknown }>((tie) => {
  const inner = tie('any');
  const keywords: Record<string, fc.Arbitrary<unknown>> = {
    ...{ type: fc.oneof(types, fc.uniqueArray(types, { minLength: 1, maxLength: 3 })), const: value },
    ...{ enum: fc.uniqueArray(scalar, { minLength: 1, maxLength: 4 }), pattern: patterns },
    ...{ minLength: count, maxLength: count, minimum: count, maximum: count, exclusiveMinimum: count },
    ...{ exclusiveMaximum: count, multipleOf: fc.constantFrom(1, 2, 0.5), minItems: count, maxItems: count },
    ...{ uniqueItems: fc.boolean(), items: inner, prefixItems: some(inner), contains: inner },
    ...{ required: fc.uniqueArray(names, { maxLength: 2 }), minProperties: count, maxProperties: count },
    ...{ properties: fc.dictionary(names, inner, { maxKeys: 2 }), additionalProperties: inner },
    ...{ patternProperties: fc.dictionary(patterns, inner, { maxKeys: 1 }), propertyNames: inner },
    ...{ allOf: some(inner), anyOf: some(inner), oneOf: some(inner), not: inner },
    ...{ dependentRequired: fc.dictionary(names, fc.uniqueArray(names, { maxLength: 2 }), { maxKeys: 1 }) },
    $ref: fc.constantFrom('#/$defs/a~1b', '#/$defs/0'),
  };
  const conditional = fc.record({ if: inner, then: inner, else: inner });
  const part = fc
    .subarray(Object.keys(keywords), { minLength: 0, maxLength: 3 })
    // Of an empty list with both the validator says that it has what it lacks.
    .filter((chosen) => !(chosen.includes('contains') && chosen.includes('prefixItems')))
    .chain((chosen) => fc.record(Object.fromEntries(chosen.map((key) => [key, keywords[key]!]))));
  return {
    any: fc.oneof({ depthSize: 'small' }, fc.boolean(), { arbitrary: part, weight: 6 }, conditional),
  };
}).any;

/** Null for what is refused with the file, such as a property that a pattern names, too. */
function compiled(schema: object) {
  try {
    return compileSchema(schema);
  } catch {
    return null;
  }
}

test('by every schema it says what the validator of producers says', async () => {
  const $defs = { 'a/b': { type: 'object' }, '0': { minimum: 2, minItems: 1 } };
  const cases = fc
    .sample(fc.tuple(anySchema, fc.array(value, { minLength: 4, maxLength: 4 })), { numRuns: 500, seed: 13 })
    .flatMap(([given, values]) => {
      // As outbox.yaml has them: objects that were read.
      const plainSchema = JSON.parse(JSON.stringify(given)) as object | boolean;
      const whole = typeof plainSchema === 'boolean' ? { allOf: [plainSchema] } : { ...plainSchema, $defs };
      expect(notEnforceable(whole)).toBeNull();
      const check = compiled(whole);
      if (check === null) return [];
      return values.map((each) => {
        const plain: unknown = JSON.parse(JSON.stringify(each));
        return { schema: whole, value: plain, fits: check(plain) === null };
      });
    });
  const answers = await database.rows<{ fits: boolean }>(
    `select outbox.schema_problem(c -> 'schema', c -> 'schema', c -> 'value', 'payload') is null as fits
     from jsonb_array_elements($1::jsonb) with ordinality t(c, n) order by n`,
    [JSON.stringify(cases)],
  );
  const wrong = cases.filter(({ fits }, index) => fits !== answers[index]?.fits);
  expect(wrong).toEqual([]);
  expect(cases.length).toBeGreaterThan(1_500);
  const taken = cases.filter(({ fits }) => fits).length;
  expect(Math.min(taken, cases.length - taken)).toBeGreaterThan(cases.length / 10);
});

test('and in the same words, where one thing is wrong', async () => {
  const wrong: [object, unknown][] = [
    ...[{ minLength: 2 }, { maxLength: 0 }, { pattern: 'x' }, { const: 1 }, { enum: [1] }].map(
      (each): [object, unknown] => [each, 'a'],
    ),
    ...[
      { minimum: 2 },
      { maximum: 0 },
      { exclusiveMinimum: 1 },
      { exclusiveMaximum: 1 },
      { multipleOf: 2 },
    ].map((each): [object, unknown] => [each, 1]),
    ...[{ minItems: 3 }, { maxItems: 1 }, { items: { type: 'null' } }].map((each): [object, unknown] => [
      each,
      [1, 1],
    ]),
    ...[{ required: ['b'] }, { minProperties: 2 }, { maxProperties: 0 }, { additionalProperties: false }].map(
      (each): [object, unknown] => [each, { a: 1 }],
    ),
    [{ properties: { a: { type: ['string', 'null'] } } }, { a: 1 }],
    [{ type: 'object', anyOf: [{ required: ['a'] }] }, {}],
    [{ type: 'integer' }, 1.5],
    [{ oneOf: [{}, true] }, 1],
    [{ not: {} }, 1],
  ];
  for (const [given, each] of wrong) {
    const issue = compileSchema(given)(each);
    const [row] = await database.rows<{ problem: string }>(
      `select outbox.schema_problem($1, $1, $2, 'payload') as problem`,
      [JSON.stringify(given), JSON.stringify(each)],
    );
    const said = issueText(issue!);
    // Of several branches the validator names the first, the database all of them.
    if ('anyOf' in given) expect(row?.problem).toBe('payload: must match a schema in anyOf');
    else expect(row?.problem).toBe(said);
  }
});
