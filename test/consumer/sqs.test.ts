/** Consuming from SQS, by the suite, against moto. */
import { requires } from '../support/index.ts';
import { startSqs } from './servers/sqs.ts';
import { conform } from './support.ts';

conform(
  {
    name: 'sqs',
    start: startSqs,
    cannot: {
      'no-id': 'every message has an id of the server',
      'broker-killed': 'the server of the tests keeps its messages in memory',
    },
  },
  {
    requires: () => requires.python('moto', 'flask'),
    short: [],
  },
);
