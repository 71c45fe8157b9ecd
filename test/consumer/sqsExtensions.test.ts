import { expect, test } from 'vitest';
import { Extensions } from '../../src/consumer/sqs/extensions.ts';

test('messages of SQS that are extended in one turn go ten a request, and one request that fails fails what asked with it', async () => {
  const requests: (readonly string[])[] = [];
  const extensions = new Extensions((handles) => {
    requests.push(handles);
    return handles.includes('bad') ? Promise.reject(new Error('throttled')) : Promise.resolve();
  });
  const names = Array.from({ length: 23 }, (_, n) => `handle ${n}`);
  await Promise.all(names.map((name) => extensions.add(name)));
  expect(requests.map(({ length }) => length)).toEqual([10, 10, 3]);
  expect(requests.flat()).toEqual(names);
  await expect(extensions.add('bad')).rejects.toThrow('throttled');
  await extensions.add('good');
  expect(requests.at(-1)).toEqual(['good']);
});
