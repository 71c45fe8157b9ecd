/** An event as a record of Kafka: key, value, headers. */
import type { OutgoingMessage } from '../../core/outcome.ts';
import { brokerMessage, type Binding } from '../shared/brokerMessage.ts';
import { filled } from '../shared/failures.ts';
import type { Template } from '../shared/template.ts';
import { eventKey, type KafkaSettings } from './keys.ts';

export interface KafkaRecord {
  readonly key: Buffer | null;
  /** Null: a tombstone. */
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** In a batch of its own, as the broker counts. */
  readonly bytes: number;
}

/** CloudEvents' binding for Kafka. */
const binding: Binding = { prefix: 'ce_', own: new Set(['content-type']) };
/** A batch's own, and a record's lengths and deltas at their longest. */
const batchBytes = 61;
const recordBytes = 21;

export function kafkaRecord(
  { cloudEvents, tombstones }: Pick<KafkaSettings, 'cloudEvents' | 'tombstones'>,
  key: Template,
  message: OutgoingMessage,
): KafkaRecord {
  const { contentType, headers: others, body } = brokerMessage(message, cloudEvents, binding);
  const headers = [['content-type', contentType] as const, ...others];
  const value = tombstones && message.payload === 'null' ? null : body;
  const keyBytes = keyOf(key, message);
  const bytes = headers.reduce(
    (sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text) + 6,
    batchBytes + recordBytes + (keyBytes?.length ?? 0) + (value?.length ?? 0),
  );
  return { key: keyBytes, value, headers, bytes };
}

function keyOf(key: Template, message: OutgoingMessage): Buffer | null {
  if (key.written === eventKey && message.key === null) return null;
  return Buffer.from(filled(key.fill(message), 'key'));
}
