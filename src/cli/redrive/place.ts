import { createRedrives, type Redrives } from '../../redrive/index.ts';
import { readSettings } from '../../storage/configuration.ts';
import type { Pool } from '../../storage/connect.ts';
import { withDatabase } from '../database.ts';
import { otherNamespace } from '../namespace.ts';
import type { Output } from '../output.ts';

/** For what needs PostgreSQL alone. */
export async function withRedrives<T>(
  out: Output,
  work: (redrives: Redrives, pool: Pool) => Promise<T>,
): Promise<T> {
  return withDatabase(
    async (pool) => {
      const { name } = await readSettings(pool);
      return work(createRedrives({ db: pool, name }), pool);
    },
    { patient: out },
  );
}

/** For what starts a workflow, or tells one. @throws OutboxError OUTBOX_TEMPORAL_MISMATCH at the wrong namespace */
export async function withRedrivesAndTemporal<T>(
  out: Output,
  work: (redrives: Redrives, pool: Pool) => Promise<T>,
): Promise<T> {
  const { connectForCommand } = await import('../temporal.ts');
  const { inspectNamespace } = await import('../../temporal/namespace.ts');
  return withDatabase(
    async (pool) => {
      const temporal = await connectForCommand(out);
      try {
        const { name, temporalNamespaceId } = await readSettings(pool);
        const { id } = await inspectNamespace(temporal);
        if (temporalNamespaceId !== null && temporalNamespaceId !== id)
          throw otherNamespace(temporal.address);
        return await work(createRedrives({ db: pool, name, temporal }), pool);
      } finally {
        await temporal.close();
      }
    },
    { patient: out },
  );
}
