import { createRedrives, type Redrives } from '../../redrive/index.ts';
import { readSettings } from '../../storage/configuration.ts';
import type { Pool } from '../../storage/connect.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';

export interface Place {
  readonly pool: Pool;
  readonly redrives: Redrives;
}

/** For what needs PostgreSQL alone. */
export async function withRedrives<T>(out: Output, work: (place: Place) => Promise<T>): Promise<T> {
  return withDatabase(
    async (pool) => {
      const { name } = await readSettings(pool);
      return work({ pool, redrives: createRedrives({ db: pool, name }) });
    },
    { patient: out },
  );
}

/** For what starts a workflow, or tells one. */
export async function withRedrivesAndTemporal<T>(
  out: Output,
  work: (place: Place) => Promise<T>,
): Promise<T> {
  const { withServers } = await import('../servers.ts');
  return withServers(out, async (pool, reach) => {
    const { name, temporal } = await reach();
    return work({ pool, redrives: createRedrives({ db: pool, name, temporal }) });
  });
}
