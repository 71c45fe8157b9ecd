/** Consuming from Kafka, by the suite, against a real broker. */
import { requireJars } from '../support/brokers/jars.ts';
import { startKafka } from './servers/kafka.ts';
import { conform } from './support.ts';

conform(
  {
    name: 'kafka',
    start: startKafka,
    cannot: { 'no-id': 'every record has a place of its own, which tells it from others' },
  },
  { requires: () => requireJars('kafka'), short: [] },
);
