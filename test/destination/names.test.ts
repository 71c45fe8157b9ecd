/** The look-up is given, as a real one would need a resolv.conf of its own; what rations it is what runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { lookupsAtOnce, Names, type Ask } from '../../src/destination/http/names.ts';

const options = { threads: 4, unknownAtOnce: 2, slowMs: 20 };

/** Names that begin with `dead` never answer; the others do at once. Keeps what is under way. */
function stage(given = options) {
  const underWay = new Set<string>();
  let most = 0;
  const ask: Ask = (name, found) => {
    underWay.add(name);
    most = Math.max(most, underWay.size);
    if (name.startsWith('dead')) return;
    setImmediate(() => {
      underWay.delete(name);
      found(null, [{ address: '127.0.0.1', family: 4 }]);
    });
  };
  const names = new Names(ask, given);
  const find = (name: string): Promise<string> =>
    new Promise((resolve) => names.find(name, (_, addresses) => resolve(addresses[0]?.address ?? '')));
  return { underWay, most: () => most, find };
}

test('names that do not answer never take all threads, and hold up no name that answered before', async () => {
  const { find, underWay, most } = stage();
  await find('healthy.example');
  for (let number = 0; number < 20; number++) void find(`dead${number}.example`);
  await sleep(100);
  expect(underWay.size).toBe(3);
  for (let round = 0; round < 50; round++) expect(await find('healthy.example')).toBe('127.0.0.1');
  expect(most()).toBe(4);
});

test('libuv lends half of its threads to look-ups: with its four, one is for doubtful names and one for the others', async () => {
  expect([undefined, '', '1', '2', '5', '16'].map(lookupsAtOnce)).toEqual([2, 2, 1, 1, 3, 8]);
  const { find, underWay, most } = stage({ threads: lookupsAtOnce(undefined), unknownAtOnce: 1, slowMs: 20 });
  await find('healthy.example');
  for (let number = 0; number < 20; number++) void find(`dead${number}.example`);
  await sleep(100);
  expect(underWay.size).toBe(1);
  for (let round = 0; round < 50; round++) expect(await find('healthy.example')).toBe('127.0.0.1');
  expect(most()).toBe(2);
});

test('a name that is not known yet waits for one dead name to show itself, not for all of them to end', async () => {
  const { find } = stage();
  for (let number = 0; number < 4; number++) void find(`dead${number}.example`);
  expect(await find('healthy.example')).toBe('127.0.0.1');
});

test('names that were slow are asked for one at a time', async () => {
  let underWay = 0;
  let most = 0;
  const names = new Names((_, found) => {
    most = Math.max(most, ++underWay);
    setTimeout(() => (underWay--, found(new Error('timeout'), [])), 40);
  }, options);
  const find = (name: string): Promise<void> => new Promise((resolve) => names.find(name, () => resolve()));
  const all = ['a', 'b', 'c', 'd'];
  await Promise.all(all.map(find));
  most = 0;
  await Promise.all(all.map(find));
  expect(most).toBe(1);
});

test('those who ask for one name together wait for one look-up', async () => {
  const { find, most } = stage();
  expect(await Promise.all(Array.from({ length: 100 }, () => find('one.example')))).toHaveLength(100);
  expect(most()).toBe(1);
});
