import { existsSync } from 'node:fs';
import { describeFinding, Findings } from '../settings/findings.ts';
import { pathsIn } from '../destination/shared/template.ts';
import { withOwnTypes } from '../destination/registry.ts';
import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { readYaml } from '../config/yaml.ts';
import type { Queryable } from '../storage/connect.ts';
import { classifyFilter } from '../storage/status.ts';
import { ownDestinationTypes } from './destinationTypes.ts';
import type { Output } from './output.ts';

export interface ConfigPath {
  readonly path: string;
  /** Named by --config or OUTBOX_CONFIG: then it has to exist. */
  readonly named: boolean;
}

export function configPath(option: string | undefined, env: NodeJS.ProcessEnv = process.env): ConfigPath {
  const path = option ?? (env['OUTBOX_CONFIG'] || undefined);
  return path === undefined ? { path: 'outbox.yaml', named: false } : { path, named: true };
}

/**
 * Loads the file and says its warnings. Answers undefined when nobody named a file and outbox.yaml is not there.
 * `missingEnvironment` as in parseConfig.
 */
export async function readConfigFile(
  option: string | undefined,
  out: Output,
  missingEnvironment: 'refuse' | 'warn',
): Promise<LoadedConfig | undefined> {
  const { path, named } = configPath(option);
  if (!named && !existsSync(path)) return undefined;
  const destinationTypes = await ownDestinationTypes();
  const loaded = await loadConfig(path, process.env, { missingEnvironment, destinationTypes });
  for (const warning of loaded.warnings) out.warn(describeFinding(warning));
  return loaded;
}

export interface FilterMode {
  readonly match: string;
  readonly where: string;
  /** `predicate` is tested with @@, `items` with @?; null when the database has no schema yet. */
  readonly mode: 'predicate' | 'items' | null;
}

/**
 * Has PostgreSQL read every filter, and every jsonpath of a template.
 * @throws ConfigError naming the lines of those it does not take
 */
export async function checkFilters(db: Queryable, { config, source }: LoadedConfig): Promise<FilterMode[]> {
  const findings = new Findings(source.path);
  readYaml(source.text, findings);
  const modes: FilterMode[] = [];
  for (const [index, { match, where }] of config.routes.entries()) {
    if (where === null) continue;
    try {
      modes.push({ match, where, mode: await classifyFilter(db, where) });
    } catch (error) {
      if (!isBadJsonpath(error)) throw error;
      findings.problem(
        ['routes', index, 'where'],
        `expected a jsonpath that PostgreSQL takes; it says: ${(error as Error).message}`,
      );
    }
  }
  await checkPaths(db, { config, findings });
  findings.throwIfAny();
  return modes;
}

async function checkPaths(
  db: Queryable,
  { config, findings }: { readonly config: LoadedConfig['config']; readonly findings: Findings },
): Promise<void> {
  const types = withOwnTypes(await ownDestinationTypes());
  for (const destination of config.destinations) {
    const settings = destination as unknown as Readonly<Record<string, unknown>>;
    for (const key of types.find(destination.type)?.templates ?? []) {
      const written = settings[key];
      for (const path of typeof written === 'string' ? pathsIn(written) : []) {
        await db.query('select $1::jsonpath', [path]).catch((error: unknown) => {
          if (!isBadJsonpath(error)) throw error;
          findings.problem(
            ['destinations', destination.name, key],
            `expected a jsonpath that PostgreSQL takes in {${path}}; it says: ${(error as Error).message}`,
          );
        });
      }
    }
  }
}

/** Classes 22 (data exception, jsonpath included) and 42601 (syntax error): about the text, not about the server. */
function isBadJsonpath(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && (code.startsWith('22') || code === '42601');
}
