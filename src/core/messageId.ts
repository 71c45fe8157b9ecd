/**
 * The id a message carries to its destination (`webhook-id`, a broker's message id): the event's, and from the second revision on
 * `<event id>:r<revision>`.
 */
export function messageId(eventId: string, revision: number): string {
  return revision > 1 ? `${eventId}:r${revision}` : eventId;
}
