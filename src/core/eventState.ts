/** Where an event stands: a state of one of its deliveries' rows, `delivered`, or `unrouted`. */
export const eventStates = [
  'pending',
  'scheduled',
  'blocked',
  'claimed',
  'retry',
  'parked',
  'delivered',
  'unrouted',
] as const;
export type EventState = (typeof eventStates)[number];
