import { sharedLane } from '../src/core/sharedLane.ts';
import { markdownText as plain } from '../src/core/markdown.ts';
import { allParked, type Place } from './whereToGo.ts';

/** What never changes of a delivery that has a workflow of its own, for its page: what this is, and where others like it are. */
export function aboutDelivery(
  { lane, eventType }: { readonly lane: string; readonly eventType: string | null },
  place: Place,
): string {
  const what = eventType === null ? 'Deliveries' : `A delivery of **${plain(eventType)}**`;
  const to = lane === sharedLane ? '' : ` to **${plain(lane)}**`;
  return [
    `${what}${to} that failed. It is tried again by its destination’s policy; once that gives up it is **parked** and waits here for a person, for as long as it takes. The current details say what failed and what can be sent.`,
    ...(lane === sharedLane
      ? []
      : ['', `- ${allParked(lane, place)}`, `- \`temporal-outbox dlq list --destination ${lane}\``]),
  ].join('\n');
}
