/** Calls that share a statement: how many, how large, and what becomes of them when it fails. */
import { expect, test } from 'vitest';
import { together } from '../../src/halfMessages/together.ts';

interface Statement {
  readonly items: readonly string[];
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
}

/** Statements under way, to be answered one by one; `alone`: those for one item. */
function statements(refusalAlone?: Error) {
  const sent: Statement[] = [];
  const alone: string[] = [];
  const send = (items: readonly string[], said: string): Promise<string[]> =>
    new Promise((resolve, reject) =>
      sent.push({ items, answer: () => resolve(items.map((item) => `${item}${said}`)), fail: reject }),
    );
  const call = together<string, string>({
    many: (items) => send(items, '!'),
    one: async (item) => {
      alone.push(item);
      if (refusalAlone !== undefined) throw refusalAlone;
      const [answer = ''] = await send([item], ' alone');
      return answer;
    },
    sizeOf: (item) => item.length,
  });
  return { sent, alone, call };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('calls of one moment go together, at most a hundred, and at most two statements at a time', async () => {
  const { sent, call } = statements();
  const answers = Promise.all(Array.from({ length: 250 }, (_, n) => call(`m${n}`)));
  await settled();
  expect(sent.map(({ items }) => items.length)).toEqual([100, 100]);
  const late = call('late');
  sent[0]?.answer();
  await settled();
  expect(sent.map(({ items }) => items.length)).toEqual([100, 100, 51]);
  for (const { answer } of sent) answer();
  expect(await answers).toEqual(Array.from({ length: 250 }, (_, n) => `m${n}!`));
  expect(await late).toBe('late!');
});

test('a call by itself is sent as one', async () => {
  const { sent, alone, call } = statements();
  const answer = call('a');
  await settled();
  expect(alone).toEqual(['a']);
  sent[0]?.fail(new Error('refused'));
  await expect(answer).rejects.toThrow('refused');
  expect(sent).toHaveLength(1);
});

test('a statement holds about a megabyte, or one item', async () => {
  const { sent, call } = statements();
  const large = 'x'.repeat(600_000);
  const answers = Promise.all([large, large, `${large}${large}`, 'a'].map((item) => call(item)));
  await settled();
  sent[0]?.answer();
  sent[1]?.answer();
  await settled();
  sent[2]?.answer();
  await settled();
  expect(sent.map(({ items }) => items.length)).toEqual([1, 1, 1, 1]);
  sent[3]?.answer();
  expect(await answers).toHaveLength(4);
});

test('what was refused together is sent again one by one', async () => {
  const { sent, alone, call } = statements();
  const answers = Promise.all(['a', 'b'].map((item) => call(item)));
  await settled();
  sent[0]?.fail(new Error('one of them'));
  await settled();
  sent.slice(1).forEach(({ answer }) => answer());
  expect(await answers).toEqual(['a alone', 'b alone']);
  expect(alone).toEqual(['a', 'b']);
});

test('in a transaction that the refusal ended, each caller gets the refusal', async () => {
  const ended = Object.assign(new Error('current transaction is aborted'), { code: '25P02' });
  const { sent, call } = statements(ended);
  const answers = ['a', 'b'].map((item) => call(item));
  await settled();
  sent[0]?.fail(new Error('there is no producer shop'));
  for (const answer of answers) await expect(answer).rejects.toThrow('there is no producer shop');
});

test('a statement that is stuck holds up no other, and its calls are not sent again', async () => {
  const { sent, alone, call } = statements();
  const stuck = ['a', 'b'].map((item) => call(item));
  await settled();
  const alsoStuck = call('c');
  await settled();
  const late = call('d');
  await settled();
  expect(sent).toHaveLength(2);
  await expect.poll(() => sent.length, { timeout: 30_000 }).toBe(3);
  sent[2]?.answer();
  expect(await late).toBe('d alone');
  for (const { fail } of sent) fail(new Error('no answer'));
  for (const each of [...stuck, alsoStuck]) await expect(each).rejects.toThrow('no answer');
  expect(alone).toEqual(['c', 'd']);
});
