import { OutboxError } from '../errors.ts';

/** The rows belong to workflows elsewhere: a command sent here would start empty ones. */
export function otherNamespace(address: string): OutboxError {
  return new OutboxError(
    'OUTBOX_TEMPORAL_MISMATCH',
    `the rows of this database belong to another Temporal namespace than the one at ${address}`,
    {
      hint:
        'If TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE is wrong, correct it. If the old one is gone for good: ' +
        'temporal-outbox doctor --adopt',
    },
  );
}
