import { defineSearchAttributeKey, TypedSearchAttributes } from '@temporalio/common';
import type { SplitOff } from '../activities/index.ts';
import { sharedLane } from '../src/core/sharedLane.ts';

/** The optional search attributes, all Keyword. Without them the workflow ids answer the same questions. */
export const outboxState = defineSearchAttributeKey('OutboxState', 'KEYWORD');
export const outboxDestination = defineSearchAttributeKey('OutboxDestination', 'KEYWORD');
export const outboxEventType = defineSearchAttributeKey('OutboxEventType', 'KEYWORD');

export const searchAttributeNames = [outboxState.name, outboxDestination.name, outboxEventType.name] as const;

/** Without a destination for a batch that mixes them. */
export function attributesFor({
  lane,
  eventType,
}: Pick<SplitOff, 'lane' | 'eventType'>): TypedSearchAttributes {
  return new TypedSearchAttributes([
    { key: outboxState, value: 'delivering' },
    ...(lane === sharedLane ? [] : [{ key: outboxDestination, value: lane }]),
    ...(eventType === null ? [] : [{ key: outboxEventType, value: eventType }]),
  ]);
}

/** Of a workflow that owns half messages. */
export function messageAttributes(state: 'retrying' | 'parked'): TypedSearchAttributes {
  return new TypedSearchAttributes([{ key: outboxState, value: state }]);
}

/** Of a destination's own workflow. */
export function destinationAttributes(name: string): TypedSearchAttributes {
  return new TypedSearchAttributes([{ key: outboxDestination, value: name }]);
}
