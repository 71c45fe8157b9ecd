/** How far a partition of Kafka is done with, and what of a fetch is a message. */
import type { KafkaRecord } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { Partition } from '../../src/consumer/kafka/partition.ts';
import { messagesOf } from '../../src/consumer/kafka/records.ts';

const record = { key: null, value: Buffer.from('{}'), headers: [] } as unknown as KafkaRecord;
const fetched = (...offsets: number[]) => offsets.map((offset) => ({ offset: BigInt(offset), record }));

test('the group is told the offset below which all are done, in whatever order they end', () => {
  const partition = new Partition('orders', 0, 5n);
  partition.fetched(fetched(5, 6, 8), 10n);
  expect([partition.upTo, partition.isAhead]).toEqual([5n, false]);
  const [first, second, third] = [partition.take(), partition.take(), partition.take()];
  third?.done();
  second?.done();
  expect([partition.upTo, partition.isAhead]).toEqual([5n, false]);
  first?.done();
  // What lies behind the last holds no message.
  expect([partition.upTo, partition.isAhead]).toEqual([10n, true]);
  partition.committed(10n);
  expect(partition.isAhead).toBe(false);
});

test('what was fetched and not begun is not passed', () => {
  const partition = new Partition('orders', 0, 0n);
  partition.fetched(fetched(0, 1), 2n);
  partition.take()?.done();
  expect(partition.upTo).toBe(1n);
  partition.lose();
  expect(partition.take()).toBeUndefined();
  expect(partition.lost.aborted).toBe(true);
});

test('one that takes long is passed by ten thousand, and not by more', () => {
  const partition = new Partition('orders', 0, 0n);
  partition.fetched(fetched(...Array.from({ length: 10_001 }, (_, offset) => offset)), 10_001n);
  const slow = partition.take();
  for (let taken = partition.take(); taken !== undefined; taken = partition.take()) taken.done();
  expect(partition.upTo).toBe(0n);
  slow?.done();
  expect(partition.upTo).toBe(10_000n);
});

const [transactional, control] = [0x10, 0x20];
const batch = (firstOffset: number, count: number, attributes: number, producer: number, marker = 0) => ({
  firstOffset: BigInt(firstOffset),
  lastOffsetDelta: count - 1,
  attributes,
  producerId: BigInt(producer),
  records: Array.from({ length: count }, (_, offsetDelta) => ({
    ...record,
    offsetDelta,
    ...((attributes & control) === 0 ? {} : { key: Buffer.from([0, 0, 0, marker]) }),
  })),
});

test('records of aborted transactions are no messages, two of one producer and one without an end among them', () => {
  const partition = {
    abortedTransactions: [0, 10, 30].map((first) => ({ producerId: 7n, firstOffset: BigInt(first) })),
    records: [
      batch(0, 2, transactional, 7),
      batch(2, 1, transactional, 8),
      batch(3, 1, transactional | control, 7),
      batch(4, 2, transactional, 7),
      batch(6, 1, transactional | control, 7, 1),
      batch(10, 1, transactional, 7),
      batch(11, 1, transactional | control, 7),
      batch(20, 1, 0, -1),
      batch(30, 1, transactional, 7),
    ],
  };
  const { records, next } = messagesOf(partition as unknown as Parameters<typeof messagesOf>[0], 2n);
  expect(records.map(({ offset }) => Number(offset))).toEqual([2, 4, 5, 20]);
  expect(next).toBe(31n);
});
