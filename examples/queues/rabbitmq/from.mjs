/** Where a service takes its messages: a queue of its name. */
export const from = (queue) => ({ type: 'rabbitmq', url: 'env:RABBITMQ_URL', queue, declare: 'quorum' });
