import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Handfuls, type Refused } from '../../src/consumer/sqs/handfuls.ts';

test('what is asked for messages of SQS in one turn goes ten a request', async () => {
  const requests: (readonly string[])[] = [];
  const handfuls = new Handfuls((handles) => {
    requests.push(handles);
    return Promise.resolve([]);
  });
  const names = Array.from({ length: 23 }, (_, n) => `handle ${n}`);
  await Promise.all(names.map((name) => handfuls.add(name)));
  expect(requests.map(({ length }) => length)).toEqual([10, 10, 3]);
  expect(requests.flat()).toEqual(names);
});

test('what is asked while a request is under way goes with the next, or as soon as it is ten', async () => {
  const requests: { readonly handles: readonly string[]; readonly answer: () => void }[] = [];
  const handfuls = new Handfuls(
    (handles) => new Promise((resolve) => requests.push({ handles, answer: () => resolve([]) })),
  );
  const ask = (count: number) => Array.from({ length: count }, (_, n) => handfuls.add(String(n)));
  const asked = ask(1);
  await turn();
  asked.push(...ask(4));
  await turn();
  expect(requests.map(({ handles }) => handles.length)).toEqual([1]);
  asked.push(...ask(7));
  await turn();
  expect(requests.map(({ handles }) => handles.length)).toEqual([1, 10]);
  for (const { answer } of requests.splice(0)) answer();
  await turn();
  await turn();
  expect(requests.map(({ handles }) => handles.length)).toEqual([1]);
  requests[0]?.answer();
  await Promise.all(asked);
});

test('behind a request that is never answered nothing waits for good', async () => {
  const handfuls = new Handfuls((handles) =>
    handles.includes('hangs') ? new Promise(() => undefined) : Promise.resolve([]),
  );
  void handfuls.add('hangs');
  await turn();
  await Promise.all([handfuls.add('one'), handfuls.add('two')]);
});

test('a request that fails fails what asked with it, one that is refused of ten only itself', async () => {
  const handfuls = new Handfuls((handles): Promise<Refused[]> => {
    if (handles.includes('throttled')) return Promise.reject(new Error('slow down'));
    return Promise.resolve(
      handles.flatMap((name, at) => (name === 'bad' ? [{ at, why: 'no such handle' }] : [])),
    );
  });
  const [good, bad] = await Promise.allSettled([handfuls.add('good'), handfuls.add('bad')]);
  expect(good).toMatchObject({ status: 'fulfilled' });
  expect(bad).toMatchObject({ status: 'rejected', reason: new Error('no such handle') });
  await expect(handfuls.add('throttled')).rejects.toThrow('slow down');
  await handfuls.add('good');
});
