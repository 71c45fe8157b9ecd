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
  { name: 'one workflow per row', file: 'outbox.mjs', settings: { batchMaximum: 1 }, eventsShare: 0.02 },
  { name: 'bare loop', file: 'bareLoop.mjs', settings: {}, drainOnly: true },
];

/** What order per key costs: the same rows in no order, and so many keys one row after another each. */
export const ordered = [
  { name: 'in no order', file: 'outbox.mjs', settings: { batchMaximum: 2000, keys: 200 } },
  { name: '200 keys', file: 'outbox.mjs', settings: { batchMaximum: 2000, ordered: true, keys: 200 } },
  { name: '20 keys', file: 'outbox.mjs', settings: { batchMaximum: 2000, ordered: true, keys: 20 } },
];
