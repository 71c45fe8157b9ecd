/** Consuming from RocketMQ, by the suite, against a real broker with its proxy. */
import { requireJars } from '../support/brokers/jars.ts';
import { startRocketmq } from './servers/rocketmq.ts';
import { conform } from './support.ts';

conform(
  {
    name: 'rocketmq',
    start: startRocketmq,
    cannot: { 'no-id': 'every message has an id of the client that sent it' },
  },
  { requires: () => requireJars('rocketmq'), short: [] },
);
