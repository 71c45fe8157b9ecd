/** Reads a stream as one of a group, and takes over what others left behind. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { RedisLink, type Server } from '../../destination/redis/connection.ts';
import { bodyField } from '../../destination/redis/bodyField.ts';
import type { Pull, Pulled } from '../shared/pulling.ts';
import { textHeaders, textOrNull } from '../shared/text.ts';
import { entriesOf, type Entry, type StreamsReply } from './reply.ts';

export interface RedisGroupSettings {
  readonly stream: string;
  readonly group: string;
  readonly idleMs: number;
}

interface Open {
  /** Waits for new entries; the other one is never held up by that. */
  readonly waiting: Redis;
  readonly redis: Redis;
  readonly links: readonly RedisLink[];
  readonly name: string;
}

const waitMs = 500;

export function redisPull(server: Server, { stream, group, idleMs }: RedisGroupSettings): Pull<Open> {
  let lookedAtMs = 0;
  const deliverAll = (open: Open, entries: readonly Entry[], deliver: (pulled: Pulled) => void): void => {
    // Null where an entry was trimmed away.
    for (const [id, fields] of entries) if (fields !== null) deliver(delivery(open, id.toString(), fields));
  };
  const delivery = ({ redis, name }: Open, id: string, fields: readonly Buffer[]): Pulled => {
    const pairs = fields.flatMap((value, index) =>
      index % 2 === 0 ? [[value.toString(), fields[index + 1] ?? Buffer.alloc(0)] as const] : [],
    );
    const headers = textHeaders(pairs.filter(([field]) => field !== bodyField));
    return {
      headers,
      body: pairs.find(([field]) => field === bodyField)?.[1] ?? Buffer.alloc(0),
      contentType: textOrNull(headers['content-type']),
      brokerId: `${stream} ${id}`,
      key: null,
      position: `${stream}@${id}`,
      acknowledge: () => redis.xack(stream, group, id),
      // As if it had not been heard of for long enough: who looks next takes it over.
      giveBack: () => redis.call('XCLAIM', stream, group, name, '0', id, 'IDLE', idleMs, 'JUSTID'),
      again: null,
      extend: () => redis.call('XCLAIM', stream, group, name, '0', id, 'JUSTID'),
    };
  };
  return {
    extendEveryMs: idleMs / 3,
    async open(lost) {
      const links = [new RedisLink(server), new RedisLink(server)];
      try {
        const [waiting, redis] = (await Promise.all(links.map((link) => link.connected()))) as [Redis, Redis];
        for (const each of [waiting, redis]) each.on('end', () => lost(new Error('the connection closed')));
        await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error: unknown) => {
          if (!String(error).includes('BUSYGROUP')) throw error;
        });
        lookedAtMs = 0;
        return { waiting, redis, links, name: randomUUID() };
      } catch (error) {
        await Promise.all(links.map((link) => link.close()));
        throw error;
      }
    },
    async receive(open, room, deliver) {
      const { waiting, name } = open;
      if (Date.now() > lookedAtMs + Math.min(idleMs, 1_000)) {
        lookedAtMs = Date.now();
        const [, left] = (await waiting.callBuffer(
          ...(['XAUTOCLAIM', stream, group, name, idleMs, '0', 'COUNT', room] as const),
        )) as [unknown, readonly Entry[]];
        if (left.length > 0) return deliverAll(open, left, deliver);
      }
      const found = (await waiting.callBuffer(
        ...([
          'XREADGROUP',
          'GROUP',
          group,
          name,
          'COUNT',
          room,
          'BLOCK',
          waitMs,
          'STREAMS',
          stream,
          '>',
        ] as const),
      )) as StreamsReply;
      deliverAll(open, entriesOf(found), deliver);
    },
    async end({ redis, links, name }) {
      // A name of the group for each process that there ever was would pile up; one that has entries keeps them for the next.
      const pending = await redis.call('XPENDING', stream, group, '-', '+', 1, name).catch(() => [0]);
      if (Array.isArray(pending) && pending.length === 0)
        await redis.xgroup('DELCONSUMER', stream, group, name).catch(() => undefined);
      await Promise.all(links.map((link) => link.close()));
    },
  };
}
