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
