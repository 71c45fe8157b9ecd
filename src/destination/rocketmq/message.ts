/** An event as a RocketMQ message: body, keys, group, tag, properties. */
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { brokerMessage, type Binding } from '../shared/brokerMessage.ts';
import { filled, refused } from '../shared/failures.ts';
import { Template } from '../shared/template.ts';
import { eventKey, type RocketmqSettings } from './keys.ts';
import { topicOf } from './topic.ts';

export interface RocketmqMessage {
  readonly topic: string;
  readonly body: Buffer;
  readonly keys: string[];
  readonly tag?: string;
  readonly messageGroup?: string;
  readonly properties: Map<string, string>;
}

/** Templates of a destination, read once. */
export class RocketmqTemplates {
  readonly topic: Template;
  readonly group: Template | null;
  readonly tag: Template | null;
  readonly key: Template;

  constructor({ topic, group, tag, key }: RocketmqSettings) {
    this.topic = new Template(topic);
    this.group = group === null ? null : new Template(group);
    this.tag = tag === null ? null : new Template(tag);
    this.key = new Template(key);
  }
}

/** CloudEvents' binding for RocketMQ. */
const binding: Binding = { prefix: 'CE_', own: new Set(['content-type']), datacontenttype: true };

export function rocketmqMessage(
  { cloudEvents }: Pick<RocketmqSettings, 'cloudEvents'>,
  templates: RocketmqTemplates,
  message: OutgoingMessage,
): RocketmqMessage {
  const id = messageId(message.eventId, message.revision);
  const { contentType, headers, body } = brokerMessage(message, cloudEvents, binding);
  if (body.length === 0)
    throw refused(
      'invalid-message',
      'its payload is empty, which RocketMQ does not carry; edit it, or use cloudEvents: structured',
    );
  const group = groupOf(templates.group, message, id);
  const tag = templates.tag === null ? null : filled(templates.tag.fill(message), 'tag');
  return {
    topic: topicOf(filled(templates.topic.fill(message), 'topic')),
    body,
    keys: keysOf(templates.key, message, id),
    ...(tag === null ? {} : { tag }),
    ...(group === null ? {} : { messageGroup: group }),
    properties: new Map([['content-type', contentType], ...headers]),
  };
}

/** An event without a key has no order to keep: it is a group of its own. */
function groupOf(group: Template | null, message: OutgoingMessage, id: string): string | null {
  if (group === null) return null;
  return group.written === eventKey && message.key === null ? id : filled(group.fill(message), 'group');
}

/** Our id, and the key where it can be one: the broker parts keys by spaces. */
function keysOf(key: Template, message: OutgoingMessage, id: string): string[] {
  if (key.written === eventKey && (message.key === null || /\s/.test(message.key))) return [id];
  const text = filled(key.fill(message), 'key');
  if (/\s/.test(text)) throw refused('invalid-message', 'a message key of RocketMQ has no spaces');
  return text === '' ? [id] : [id, text];
}
