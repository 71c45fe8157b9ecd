/** The demo's outbox.yaml with a queue: two destinations put each event into it, as if its broker delivered everything twice. */
export const queueConfigText = `destinations:
  billing:
    { type: rabbitmq, url: env:DEMO_QUEUE_URL, exchange: '', routingKey: billing, declare: { queue: quorum } }
  billing-again:
    { type: rabbitmq, url: env:DEMO_QUEUE_URL, exchange: '', routingKey: billing, declare: { queue: quorum } }
routes:
  - match: order.*
    to: [billing, billing-again]
`;

export const destinationsMax = 2;
