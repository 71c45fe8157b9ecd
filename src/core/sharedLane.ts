/** The lane of batches that mix destinations, as outbox.shared_lane() names it. */
export const sharedLane = 'shared--';
