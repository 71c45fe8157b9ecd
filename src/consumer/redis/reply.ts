/** Null where an entry was trimmed away. */
export type Entry = readonly [id: Buffer, fields: readonly Buffer[] | null];

/**
 * What XREADGROUP answers for one stream: a list of pairs in RESP2 (ioredis 5), a map in RESP3, which ioredis 6 speaks and hands over as the list of its
 * names and values. https://redis.io/docs/latest/commands/xreadgroup/
 */
export type StreamsReply =
  | readonly [readonly [stream: Buffer, entries: readonly Entry[]]]
  | readonly [stream: Buffer, entries: readonly Entry[]]
  | null;

export function entriesOf(reply: StreamsReply): readonly Entry[] {
  if (reply === null) return [];
  return reply.length === 1 ? reply[0][1] : reply[1];
}
