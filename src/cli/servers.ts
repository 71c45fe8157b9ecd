import { readSettings } from '../storage/configuration.ts';
import type { Pool } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { inspectNamespace } from '../temporal/namespace.ts';
import { withDatabase } from './database.ts';
import { otherNamespace } from './namespace.ts';
import type { Output } from './output.ts';
import { connectForCommand } from './temporal.ts';

export interface Reached {
  readonly temporal: Temporal;
  /** The configuration's `name`. */
  readonly name: string | null;
  /** Whether the namespace has our search attributes. */
  readonly searchAttributes: boolean;
}

/**
 * Both servers for one command: PostgreSQL at once, Temporal when `reach` is called, after what needs no workflow.
 * @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE, OUTBOX_TEMPORAL_MISMATCH at the wrong namespace
 */
export async function withServers<T>(
  out: Output,
  work: (pool: Pool, reach: () => Promise<Reached>) => Promise<T>,
): Promise<T> {
  let opened: Temporal | undefined;
  const reach = async (pool: Pool): Promise<Reached> => {
    const temporal = (opened ??= await connectForCommand(out));
    const { name, temporalNamespaceId } = await readSettings(pool);
    const { id, hasSearchAttributes } = await inspectNamespace(temporal);
    if (temporalNamespaceId !== null && temporalNamespaceId !== id) throw otherNamespace(temporal.address);
    return { temporal, name, searchAttributes: hasSearchAttributes };
  };
  try {
    return await withDatabase((pool) => work(pool, () => reach(pool)), { patient: out });
  } finally {
    await opened?.close();
  }
}
