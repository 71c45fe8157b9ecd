/** Consuming from SQS, by the suite, against ElasticMQ: another maker's idea of SQS, and one that can be killed. */
import { requireJars } from '../support/brokers/jars.ts';
import { startElasticmq } from './servers/elasticmq.ts';
import { conform } from './support.ts';

conform(
  {
    name: 'elasticmq',
    start: startElasticmq,
    cannot: { 'no-id': 'every message has an id of the server' },
  },
  { requires: () => requireJars('elasticmq'), short: [] },
);
