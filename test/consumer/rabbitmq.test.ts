/** Consuming from RabbitMQ, by the suite, against a real server. */
import { requires } from '../support/index.ts';
import { startRabbitmq } from './servers/rabbitmq.ts';
import { conform } from './support.ts';

conform(
  { name: 'rabbitmq', start: startRabbitmq },
  {
    requires: () => requires.program('rabbitmq-server'),
    short: [],
  },
);
