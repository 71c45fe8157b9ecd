import { createOperator, type Operator } from '../deadletter/operator.ts';
import { OutboxError } from '../errors.ts';
import { readSettings } from '../storage/configuration.ts';
import type { Pool } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { inspectNamespace } from '../temporal/namespace.ts';

/** What commands are sent with. */
export interface Operated {
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly searchAttributes: boolean;
  readonly operator: Operator;
}

export interface Operating {
  /** @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE, OUTBOX_TEMPORAL_MISMATCH */
  get(): Promise<Operated>;
}

/** How long a person waits for a workflow's answer. */
export const answerWithinMs = 20_000;
const lookWithinMs = 5_000;

/** Looks each time whether the namespace is that of the rows: commands sent elsewhere would start empty workflows. */
export function operatingWith(pool: Pool, connected: () => Promise<Temporal>): Operating {
  return {
    get: async () => {
      const temporal = await connected();
      const { name, temporalNamespaceId } = await readSettings(pool);
      const { id, hasSearchAttributes } = await temporal.client.withDeadline(Date.now() + lookWithinMs, () =>
        temporal.connection.withDeadline(Date.now() + lookWithinMs, () => inspectNamespace(temporal)),
      );
      if (temporalNamespaceId !== null && temporalNamespaceId !== id)
        throw new OutboxError(
          'OUTBOX_TEMPORAL_MISMATCH',
          `the rows of this database belong to another Temporal namespace than the one at ${temporal.address}`,
        );
      const options = { db: pool, temporal, name, timeoutMs: answerWithinMs, onBehalf: true };
      const operator = await createOperator({ ...options, searchAttributes: hasSearchAttributes });
      return { temporal, name, searchAttributes: hasSearchAttributes, operator };
    },
  };
}

/** Connects when first asked, and again after a failure. */
export function connectedLater(connect: () => Promise<Temporal>): {
  get: () => Promise<Temporal>;
  close: () => Promise<void>;
} {
  let connecting: Promise<Temporal> | undefined;
  const get = (): Promise<Temporal> => {
    connecting ??= connect().catch((error: unknown) => {
      connecting = undefined;
      throw error;
    });
    return connecting;
  };
  return {
    get,
    close: async () => {
      const temporal = await connecting?.catch(() => undefined);
      await temporal?.close();
    },
  };
}
