import { expect, test } from 'vitest';
import { sumsOf, type Fact } from './sums.ts';

const fact = (event: string, key: string, number: number): Fact => ({ event, key, number });
const written = [fact('a', 'k', 1), fact('b', 'k', 2), fact('c', 'l', 1)];

test('effects through a queue: what is lost, doubled, unexpected or out of order is found', () => {
  const none = { lost: [], doubled: [], unexpected: [], reordered: [] };
  expect(sumsOf(written, [written[2]!, written[0]!, written[1]!])).toEqual(none);
  expect(sumsOf(written, [written[0]!, written[2]!])).toEqual({ ...none, lost: ['b'] });
  expect(sumsOf(written, [...written, written[2]!])).toEqual({ ...none, doubled: ['c: 2 times'] });
  expect(sumsOf(written, [...written, fact('d', 'm', 1)])).toEqual({ ...none, unexpected: ['d'] });
  expect(sumsOf(written, [written[1]!, written[0]!, written[2]!])).toEqual({
    ...none,
    reordered: ['k: 1 after 2'],
  });
});
