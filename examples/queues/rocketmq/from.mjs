/** Where a service takes its messages: one topic for all. Types are tags, by which the broker gives each group what it has a handler for. */
export const from = (group, types) => ({
  type: 'rocketmq',
  endpoints: 'env:ROCKETMQ_ENDPOINTS',
  topic: 'orders',
  group,
  tags: types.join(' || '),
  // So long after its consumer was killed a message is given to the next.
  invisibleTime: '10s',
});
