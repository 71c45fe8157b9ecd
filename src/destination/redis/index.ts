import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { preparedBy } from '../shared/prepared.ts';
import { explainedAddress } from '../shared/serverAddress.ts';
import type { DestinationType } from '../type.ts';
import { ioredis } from './client.ts';
import { inspectRedis } from './inspect.ts';
import { normaliseRedis, redisKeys, type RedisInput, type RedisSettings } from './keys.ts';
import { RedisPublisher } from './publisher.ts';
import { checkRedis } from './rules.ts';
import { schemes } from './schemes.ts';
import { prepareServer } from './server.ts';
import { counted } from '../../core/counted.ts';

/** `type: redis`: an entry of a stream for each delivery, acknowledged by the server's reply. */
export const redis: DestinationType<RedisSettings> = {
  name: 'redis',
  keys: redisKeys,
  // Commands travel one behind another without waiting for replies.
  defaults: { concurrency: 500 },
  clients: [ioredis],
  templates: ['stream'],
  check: checkRedis,
  normalise: (input) => normaliseRedis(input as RedisInput),
  explain({ url, stream, cloudEvents, declare, maxLength, wait, retry }, { env, sample }) {
    const address = explainedAddress(url, schemes, { env });
    return {
      facts: { address, stream, cloudEvents, declare, maxLength, wait },
      address: `${address}, stream ${stream}`,
      rows: [
        [
          'acknowledged',
          wait === null
            ? 'by the reply to XADD; it survives the server with appendonly yes'
            : `by the reply to XADD and by ${counted(wait.replicas, 'replica')} within ${describeDuration(wait.timeoutMs)}`,
        ],
        ...(declare ? [['made if absent', 'the stream'] as const] : []),
        ...(maxLength === null
          ? []
          : [['dropped', `the oldest above about ${maxLength} entries, read or not`] as const]),
      ],
      answers: [
        [
          'unreachable',
          `no connection, no memory, a server that loads or only reads cost no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', 'too large, a stream without a name'],
        [
          'for example',
          `${sample.type} with key ${sample.key} goes to stream ${explainedTemplate(stream, sample)}`,
        ],
      ],
    };
  },
  ...preparedBy(
    prepareServer,
    (config, server, { connections }) => new RedisPublisher(config, server, connections),
  ),
  inspect: inspectRedis,
};
