/** Redis before the suite of consumers, and before volumes. */
import type { ConsumerServer } from '../../../src/testing/consumers/index.ts';
import { launchRedis } from '../../support/brokers/redis.ts';
import { uniqueName } from '../../support/index.ts';

export async function startRedis(): Promise<ConsumerServer> {
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
            const all = redis.pipeline();
            for (const { headers, contentType, body } of messages) {
              const fields = Object.entries({ ...headers, 'content-type': contentType }).flat();
              all.xadd(stream, '*', ...fields, 'payload', Buffer.from(body));
            }
            for (const [error] of (await all.exec()) ?? []) if (error !== null) throw error;
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
