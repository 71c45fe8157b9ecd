import { counted } from '../../core/counted.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { applyConfig, type AppliedConfig } from '../../storage/configuration.ts';
import type { Pool } from '../../storage/connect.ts';
import { migrate } from '../../storage/migrate.ts';
import { rowSecurityHint, tablesUnderRowSecurity } from '../../storage/structure.ts';
import { checkFilters, readConfigFile } from '../configFile.ts';
import { withDatabase } from '../database.ts';
import { firstThree } from '../doctor/finding.ts';
import { printable } from '../../core/printable.ts';
import type { Output } from '../output.ts';
import { systemUser } from '../../core/systemUser.ts';

export interface MigrateOptions {
  readonly config?: string;
  readonly skipConfig?: boolean;
}

/** `migrate`: the schema, then the configuration; a file that is refused is refused before anything is touched. */
export async function migrateCommand(out: Output, options: MigrateOptions): Promise<void> {
  const file = options.skipConfig === true ? undefined : await readConfigFile(options.config, out, 'warn');
  await withDatabase(
    async (pool) => {
      const report = await migrate(pool);
      const applied = file === undefined ? null : await applyFile(pool, file);
      const hidden = (await tablesUnderRowSecurity(pool)).filter(({ policies }) => policies === 0);
      if (hidden.length > 0)
        out.warn(
          `row-level security is on for ${firstThree(hidden.map(({ name }) => name))}, with no policy for our roles. ${rowSecurityHint}`,
        );
      const { from, to } = report;
      const skipped = applied === null && options.skipConfig !== true;
      out.result({ schema: report, config: applied }, () =>
        [
          from === to
            ? `schema is at version ${to}, nothing to do`
            : `schema migrated from version ${from} to ${to}`,
          applied === null ? '' : describeApplied(applied, file?.source.path ?? ''),
          skipped ? 'no outbox.yaml here: configuration left as it is' : '',
        ]
          .filter(Boolean)
          .map((line) => `${line}\n`)
          .join(''),
      );
    },
    { anySchema: true, patient: out },
  );
}

/** @throws ConfigError for a filter that PostgreSQL does not take, with its line */
export async function applyFile(pool: Pool, file: LoadedConfig): Promise<AppliedConfig> {
  await checkFilters(pool, file);
  return applyConfig(pool, file.config, file.source.text, systemUser());
}

export function describeApplied(applied: AppliedConfig, path: string): string {
  if (!applied.changed) return `${printable(path)} is applied already, as revision ${applied.revision}`;
  return `${printable(path)} applied as revision ${applied.revision}: ${counted(applied.destinations ?? 0, 'destination')}, ${counted(applied.routes ?? 0, 'route')}`;
}
