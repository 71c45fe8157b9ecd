/** Asks the server whether the stream is there, and whether it keeps what it acknowledges. */
import type { Redis } from 'ioredis';
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import { redisFailure } from './answers.ts';
import type { RedisSettings } from './keys.ts';
import { RedisLink } from './connection.ts';
import { prepareServer } from './server.ts';

export async function inspectRedis(
  settings: RedisSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const server = prepareServer(settings, services);
  const link = new RedisLink(server);
  try {
    const redis = await link.connected();
    return [await standing(redis, server.label, settings), ...(await durability(redis, server.label))];
  } catch (error) {
    const { message } = redisFailure(error, server.label);
    return [{ level: 'fail', found: message, hint: 'Is the server there, and is the login its own?' }];
  } finally {
    await link.close();
  }
}

async function standing(
  redis: Redis,
  label: string,
  { stream, declare }: RedisSettings,
): Promise<Inspection> {
  if (!new Template(stream).isConstant) {
    await redis.ping();
    return { level: 'ok', found: `${label} answers; its streams differ by event (${stream})`, hint: null };
  }
  const kind = await redis.type(stream);
  if (kind === 'stream')
    return {
      level: 'ok',
      found: `${label}: stream ${stream} is there, ${await redis.xlen(stream)} entries`,
      hint: null,
    };
  if (kind !== 'none')
    return {
      level: 'fail',
      found: `${label}: ${stream} is there and is a ${kind}, no stream`,
      hint: 'Use another name.',
    };
  if (declare)
    return {
      level: 'ok',
      found: `${label}: no stream ${stream} yet; it is made at the first event`,
      hint: null,
    };
  return {
    level: 'fail',
    found: `${label}: there is no stream ${stream}`,
    hint: 'Correct the name, make it (XGROUP CREATE … MKSTREAM), or have it made: declare: true.',
  };
}

/** Nothing where the login may not ask. */
async function durability(redis: Redis, label: string): Promise<Inspection[]> {
  const found = await redis.config('GET', 'appendonly').catch(() => null);
  // A list before RESP3.
  const text = JSON.stringify(found);
  return text.includes('"no"')
    ? [
        {
          level: 'warn',
          found: `${label} writes no append-only file: what it acknowledged since its last snapshot is gone when it dies`,
          hint: 'Set appendonly yes on the server.',
        },
      ]
    : [];
}
