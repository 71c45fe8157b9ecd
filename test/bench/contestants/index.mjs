/** Who takes part. `ours` comes first: ratios are given against it. */
export const contestants = [
  { name: 'temporal-outbox', file: 'outbox.mjs', settings: { batchMaximum: 2000 } },
  {
    name: 'temporal-outbox, signed',
    file: 'outbox.mjs',
    settings: { batchMaximum: 2000, signed: true },
    drainOnly: true,
  },
  { name: 'graphile-worker', file: 'graphileWorker.mjs', settings: {} },
  { name: 'pg-boss', file: 'pgBoss.mjs', settings: {}, eventsShare: 0.5 },
  { name: 'DBOS', file: 'dbos.mjs', settings: {}, eventsShare: 0.05 },
  { name: 'one workflow per row', file: 'outbox.mjs', settings: { batchMaximum: 1 }, eventsShare: 0.02 },
  { name: 'one activity per row', file: 'standaloneActivity.mjs', settings: {}, eventsShare: 0.02 },
  { name: 'bare loop', file: 'bareLoop.mjs', settings: {}, drainOnly: true },
];

/**
 * Producers of messages. RocketMQ answers before the disk has the message unless told otherwise (ASYNC_FLUSH), PostgreSQL after: so
 * each is there both ways. The producer's own database waits for its disk with all of them.
 */
export const halfMessageContestants = [
  { name: 'temporal-outbox', file: 'halfMessages.mjs', settings: {} },
  {
    name: 'temporal-outbox (synchronous_commit off)',
    file: 'halfMessages.mjs',
    settings: { outboxOptions: '-c synchronous_commit=off' },
  },
  { name: 'RocketMQ (SYNC_FLUSH)', file: 'rocketmqTransactions.mjs', settings: {}, rocketmq: 'SYNC_FLUSH' },
  {
    name: 'RocketMQ (ASYNC_FLUSH)',
    file: 'rocketmqTransactions.mjs',
    settings: {},
    rocketmq: 'ASYNC_FLUSH',
  },
  { name: 'plain outbox rows', file: 'outboxRows.mjs', settings: {} },
];
