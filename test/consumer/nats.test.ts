/** Consuming from JetStream, by the suite, against a real server. */
import { requires } from '../support/index.ts';
import { startNats } from './servers/nats.ts';
import { conform } from './support.ts';

conform(
  { name: 'nats', start: startNats },
  {
    requires: () => requires.program('nats-server'),
    short: [],
  },
);
