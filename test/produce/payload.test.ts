import { expect, test } from 'vitest';
import { stringifyPayload } from '../../src/produce/payload.ts';

class Decimal {
  readonly #digits: string;
  constructor(digits: string) {
    this.#digits = digits;
  }
  toJSON(): string {
    return this.#digits;
  }
}

class Order {
  readonly id = 'o-1';
  readonly note: string | undefined = undefined;
  total = new Decimal('12345678901234567890.10');
  at = new Date('2026-01-02T03:04:05.678Z');
  charge(): void {}
}

const shared = { a: 1 };
const empty = {};
test.each<[string, unknown]>([
  ['an entity with a Date, an undefined field and a Decimal', new Order()],
  ['a list of them', { orders: [new Order(), new Order()] }],
  ['an object with a toJSON of its own', { toJSON: (key: string) => ({ key, n: [1] }) }],
  ['a toJSON that takes a field away', { gone: { toJSON: () => undefined }, left: 1 }],
  ['one object at several places', { x: shared, y: [shared, shared, empty, empty], z: { x: shared } }],
  ['objects without a prototype', Object.assign(Object.create(null) as object, { a: [[]], b: {} })],
  ['boxed values', { s: Object('x') as unknown, n: Object(1) as unknown, b: Object(false) as unknown }],
  ['a Buffer', { body: Buffer.from('x') }],
  ['a URL', { url: new URL('https://a.example/x') }],
  ['keys of all kinds', { '': 1, __proto__x: 2, 'a.b': 3, 7: [null, true, -0] }],
  ['null', null],
  ['a text', 'x'],
])('%s goes out as JSON.stringify has it', (_what, payload) => {
  expect(stringifyPayload(payload)).toBe(JSON.stringify(payload));
});

test('toJSON is called once for each place', () => {
  let calls = 0;
  stringifyPayload({ a: { toJSON: () => ++calls }, b: [{ toJSON: () => ++calls }] });
  expect(calls).toBe(2);
});

test('a cycle through toJSON and one far down are found, with the place', () => {
  const node: Record<string, unknown> = { name: 'n' };
  node['children'] = [{ parent: node }];
  expect(() => stringifyPayload({ tree: node })).toThrow(
    /^payload\.tree\.children\[0\]\.parent: the payload contains itself$/,
  );
});

test('a wide payload of many objects costs no more than its size', () => {
  const rows = Array.from({ length: 20_000 }, (_, n) => ({ n, line: { price: n } }));
  expect(JSON.parse(stringifyPayload(rows))).toEqual(rows);
});
