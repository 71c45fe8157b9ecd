/** Consuming from a stream of Redis, by the suite, against a real server. */
import type { ConsumerServer } from '../../src/testing/consumers/index.ts';
import { launchRedis } from '../support/brokers/redis.ts';
import { requires, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

async function start(): Promise<ConsumerServer> {
  const server = await launchRedis({ args: ['--appendfsync', 'always'] });
  return {
    kill: server.kill9,
    restart: server.start,
    stop: server.stop,
    queue: async () => {
      const stream = uniqueName('stream');
      return {
        from: { type: 'redis', url: `redis://127.0.0.1:${server.port}`, stream, idle: '2s' },
        put: (messages) =>
          server.client(async (redis) => {
            for (const { headers, contentType, body } of messages) {
              const fields = Object.entries({ ...headers, 'content-type': contentType }).flat();
              await redis.xadd(stream, '*', ...fields, 'payload', Buffer.from(body));
            }
          }),
        left: () =>
          server.client(async (redis) => {
            const [group] = (await redis.xinfo('GROUPS', stream)) as unknown[][];
            const of = (name: string) => Number(group?.[group.indexOf(name) + 1]);
            return of('pending') + of('lag');
          }),
      };
    },
  };
}

const noOrder = 'what a consumer that died had taken comes behind what was behind it: order: key is refused';
conform(
  {
    name: 'redis',
    start,
    cannot: {
      'no-id': 'every entry has an id of the server',
      order: noOrder,
      'killed-in-order': noOrder,
      'cut-in-order': noOrder,
    },
  },
  {
    requires: () => requires.program('redis-server'),
    short: [],
  },
);
