/** A record as consumers get messages. */
import { textHeaders, textOrNull } from '../shared/text.ts';
import type { Incoming } from '../type.ts';
import type { Fetched, Partition } from './partition.ts';

/** As our sender writes the payload null where it is told to make tombstones. */
const tombstone = Buffer.from('null');

/** @param topicId which a topic that was made anew under the same name does not have */
export function incomingOf(
  { record: { key, value, headers }, offset }: Fetched,
  { topic, number }: Partition,
  topicId: string,
): Incoming {
  const texts = textHeaders(headers.map(([name, text]) => [name?.toString() ?? '', text]));
  return {
    headers: texts,
    body: value ?? tombstone,
    contentType: textOrNull(texts['content-type']),
    brokerId: `${topicId}[${number}]@${offset}`,
    key: key === null ? null : textOrNull(key.toString()),
    position: `${topic}[${number}]@${offset}`,
  };
}
