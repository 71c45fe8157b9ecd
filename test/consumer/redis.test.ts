/** Consuming from a stream of Redis, by the suite, against a real server. */
import { requires } from '../support/index.ts';
import { startRedis } from './servers/redis.ts';
import { conform } from './support.ts';

const noOrder = 'what a consumer that died had taken comes behind what was behind it: order: key is refused';
conform(
  {
    name: 'redis',
    start: startRedis,
    cannot: {
      'no-id': 'every entry has an id of the server',
      order: noOrder,
      'killed-in-order': noOrder,
      'ended-in-order': noOrder,
      'cut-in-order': noOrder,
    },
  },
  {
    requires: () => requires.program('redis-server'),
    short: [],
  },
);
