/** Where a service takes its messages: one topic for all, and a consumer group for each, which sees all of it. */
export const from = (group) => ({
  type: 'kafka',
  brokers: ['env:KAFKA_BROKERS'],
  topic: 'orders',
  group,
  // So long after it was killed a member's partitions are given to the next.
  sessionTimeout: '6s',
});

/** What concerns one order goes one after another, in the order in which it was written. */
export const order = 'key';
