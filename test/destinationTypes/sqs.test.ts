/** type: sqs: its keys, what an event becomes, and requests of ten. */
import { expect, test } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import { groupId, sqsMessage } from '../../src/destination/sqs/message.ts';
import { Batches } from '../../src/destination/sqs/batches.ts';
import { message } from '../destination/support/fixtures.ts';
import { problemsIn } from './support.ts';

const fileWith = (...lines: string[]): string =>
  ['destinations:', '  jobs:', '    type: sqs', ...lines.map((line) => `    ${line}`), 'routes: []'].join(
    '\n',
  );
const amazons = 'queueUrl: https://sqs.eu-central-1.amazonaws.com/123456789012/jobs';
const settings = { cloudEvents: 'none', group: null } as const;

test('its keys are checked: a region that is known, a login that goes to Amazon alone, and a warning about order', () => {
  expect(problemsIn(fileWith('queueUrl: https://queues.test/1/jobs'))).toMatchObject([
    { key: 'destinations.jobs', message: expect.stringContaining('expected region') as string },
    { key: 'destinations.jobs', message: expect.stringContaining('expected credentials') as string },
  ]);
  expect(problemsIn(fileWith('queueUrl: https://sqs.eu-central-1.amazonaws.com/jobs'))).toMatchObject([
    { key: 'destinations.jobs.queueUrl', message: expect.stringContaining('/<account>/<queue>') as string },
  ]);
  expect(problemsIn(fileWith(amazons, "group: '{kee}'"))).toMatchObject([
    { key: 'destinations.jobs.group', message: expect.stringContaining('did you mean {key}?') as string },
  ]);
  const warnings = (...lines: string[]) =>
    parseConfig(fileWith(...lines), { env: {} }).warnings.filter(({ key }) => key.includes('queueUrl'));
  expect(warnings(`${amazons}.fifo`)).toMatchObject([
    { message: expect.stringContaining('ordering: key') as string },
  ]);
  expect(warnings(`${amazons}.fifo`, 'ordering: key')).toEqual([]);
  expect(warnings(amazons)).toEqual([]);
});

test('explain shows the queue and the group of a sample event', () => {
  const { config } = parseConfig(fileWith(`${amazons}.fifo`, 'ordering: key'), { env: {} });
  const { text } = explainConfig(config, {});
  expect(text).toContain('https://sqs.eu-central-1.amazonaws.com/123456789012/jobs.fifo');
  expect(text).toMatch(/for example +order\.created with key .* goes in group /);
});

test('a group is what SQS takes, and one for each key', () => {
  expect(groupId('order-7')).toBe('order-7');
  expect(groupId('Žofie 100%')).toBe('%C5%BDofie%20100%25');
  expect(groupId('x'.repeat(200))).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(groupId('x'.repeat(200))).not.toBe(groupId('x'.repeat(201)));
  const { entry } = sqsMessage(settings, true, message({ key: null }));
  expect(entry).toMatchObject({
    MessageGroupId: message().eventId,
    MessageDeduplicationId: message().eventId,
  });
  expect(sqsMessage(settings, false, message({ key: 'k' })).entry).not.toHaveProperty('MessageGroupId');
});

test('ten attributes at most: headers beyond them, and what SQS cannot carry, are JSON in one of them', () => {
  const few =
    sqsMessage(settings, false, message({ headers: { a: '1', b: '2' } })).entry.MessageAttributes ?? {};
  expect(few['a']).toEqual({ DataType: 'String', StringValue: '1' });
  expect(few).not.toHaveProperty('outbox-headers');
  const headers = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`h${n}`, String(n)]));
  const many = sqsMessage(settings, false, message({ headers: { ...headers, 'x y': '\u0007ß', empty: '' } }));
  const attributes = many.entry.MessageAttributes ?? {};
  expect(Object.keys(attributes)).toHaveLength(10);
  const others = JSON.parse(attributes['outbox-headers']?.StringValue ?? '') as Record<string, string>;
  expect(others).toMatchObject({ 'x y': '\u0007ß', empty: '', h19: '19' });
  expect(attributes['outbox-headers']?.StringValue).toMatch(/^[ -~]+$/);
  expect(attributes['webhook-id']?.StringValue).toBe(message().eventId);
});

test('an empty payload, and one above 1 MiB with its attributes, are refused with words', () => {
  expect(() => sqsMessage(settings, false, message({ payload: '' }))).toThrow('its payload is empty');
  expect(() => sqsMessage(settings, false, message({ payload: `"${'x'.repeat(1024 * 1024 - 2)}"` }))).toThrow(
    /\d+ bytes, more than SQS, headers and all, allows \(1048576 bytes\)/,
  );
});

test('what is sent within a moment goes ten a request, none above 1 MiB, in order', async () => {
  const sent: number[][] = [];
  const batches = new Batches((batch) => sent.push(batch.map(({ message: { bytes } }) => bytes)));
  const add = (bytes: number, done = false): void =>
    batches.add({
      message: { bytes, entry: { MessageBody: '' } },
      attempt: { done },
      resolve: () => undefined,
      reject: () => undefined,
    });
  for (let bytes = 1; bytes <= 12; bytes++) add(bytes);
  add(600_000);
  add(700_000);
  add(1, true);
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 600_000], [700_000]]);
});
