import { describe, expect, it } from 'vitest';
import { eventSchemas } from '../../src/config/eventSchemas.ts';
import { parseConfig } from '../../src/config/load.ts';
import { defineEvents } from '../../src/produce/defineEvents.ts';
import { withLines } from './fixtures.ts';
import { describeRefusals, invalid, type Row } from './refusals.ts';

const withEvents = (events: string) => `${withLines()}events:\n${events}`;

const orders = withEvents(`  order.created:
    description: an order was placed
    schema:
      type: object
      required: [id, total]
      additionalProperties: false
      properties:
        id: { type: string }
        total: { type: number, exclusiveMinimum: 0 }
        at: { type: string }
        lines: { type: array, prefixItems: [{ $ref: '#/$defs/line' }] }
      $defs: { line: { type: object, required: [sku] } }
  order.closed: {}
`);

const at = 'events.order.schema';
const schema = (written: string) => withEvents(`  order: { schema: ${written} }\n`);
const rows: Row[] = [
  ['a misspelt keyword', schema('{ tpye: object }'), invalid, 8, at, 'unknown keyword: "tpye"'],
  ['a type that is none', schema('{ type: money }'), invalid, 8, at, 'draft 2020-12'],
  [
    'another draft',
    schema('{ $schema: "http://json-schema.org/draft-07/schema#" }'),
    invalid,
    8,
    at,
    'draft 2020-12',
  ],
  [
    'a reference to elsewhere',
    schema('{ $ref: "http://169.254.169.254/x" }'),
    invalid,
    8,
    at,
    "can't resolve",
  ],
  ['a pattern that is none', schema('{ pattern: "(" }'), invalid, 8, at, 'draft 2020-12'],
  ['a schema that is a text', schema('./order.json'), invalid, 8, at, 'a JSON Schema, a mapping'],
  [
    'a key that is none',
    withEvents('  order: { schmea: {} }\n'),
    invalid,
    8,
    'events.order.schmea',
    'schema',
  ],
  [
    'a pattern in place of a type',
    withEvents("  'order.*': {}\n"),
    invalid,
    8,
    'events["order.*"]',
    'an event type',
  ],
  ...(
    [
      ['without a schema', 'order: { enforced: true }', 'expected a schema beside it'],
      [
        'with a keyword of its own',
        'order: { enforced: true, schema: { unevaluatedProperties: false } }',
        'it does not know unevaluatedProperties (#/unevaluatedProperties)',
      ],
      [
        'deep inside',
        'order: { enforced: true, schema: { anyOf: [{ properties: { a: { unevaluatedItems: false } } }] } }',
        '(#/anyOf/0/properties/a/unevaluatedItems)',
      ],
      [
        'with a pattern that reads otherwise',
        String.raw`order: { enforced: true, schema: { pattern: '\bx' } }`,
        'PostgreSQL reads otherwise (#/pattern)',
      ],
      [
        'with more repetitions than it takes',
        "order: { enforced: true, schema: { pattern: 'a{256}' } }",
        'PostgreSQL reads otherwise',
      ],
      [
        'with a reference that is encoded',
        "order: { enforced: true, schema: { $ref: '#/$defs/a%25', $defs: { 'a%': {} } } }",
        'a $ref leads',
      ],
    ] as const
  ).map(([what, written, words]): Row => [
    `enforced ${what}`,
    withEvents(`  ${written}\n`),
    invalid,
    8,
    'events.order.enforced',
    words,
  ]),
];

describeRefusals('events', rows);

describe('events of outbox.yaml', () => {
  const { config } = parseConfig(orders);
  const events = defineEvents(eventSchemas(config));
  const check = (type: string, payload: unknown) => events.checked({ type, payload });

  it('are what a producer with the file may write', async () => {
    const order = { id: 'o-1', total: 80, at: new Date(0), note: undefined };
    // As JSON has it: a date is a text, what is undefined is not there.
    expect(await check('order.created', order)).toMatchObject({ payload: order });
    expect(await check('order.closed', { any: ['thing'] })).toMatchObject({ type: 'order.closed' });
    expect(
      await events.checked({
        type: 'order.created',
        payloadText: '{"id":"1","total":12345678901234567890}',
      }),
    ).toBeDefined();
  });

  it.each([
    ['a field too few', { id: 'o-1' }, "payload: must have required property 'total'"],
    [
      'a field too many',
      { id: 'o-1', total: 1, totl: 1 },
      'payload: must NOT have additional properties ("totl")',
    ],
    ['another type', { id: 1, total: 1 }, 'payload.id: must be string'],
    ['out of range', { id: 'o-1', total: 0 }, 'payload.total: must be > 0'],
    [
      'deep inside',
      { id: 'o-1', total: 1, lines: [{}] },
      "payload.lines[0]: must have required property 'sku'",
    ],
    ['null', null, 'payload: must be object'],
  ])('with %s are refused, and the place is named', async (_, payload, words) => {
    await expect(check('order.created', payload)).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_INVALID',
      message: expect.stringContaining(words) as string,
    });
  });

  it('of a type that is not named are refused with the nearest that is', async () => {
    await expect(check('order.craeted', {})).rejects.toThrow('did you mean order.created?');
  });

  it('leave a configuration without them as it was', () => {
    expect(parseConfig(withLines()).config).not.toHaveProperty('events');
    expect(config.events?.['order.closed']).toEqual({ schema: null, description: null });
  });
});
