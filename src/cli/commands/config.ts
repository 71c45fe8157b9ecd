import { describeFinding } from '../../settings/findings.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { checkFilters, readConfigFile, type FilterMode } from '../configFile.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';
import { table } from '../table.ts';
import { OutboxError } from '../../errors.ts';
import { applyFile, describeApplied } from './migrate.ts';

export interface ConfigOptions {
  readonly config?: string;
}

/** `config check` */
export async function check(out: Output, options: ConfigOptions): Promise<void> {
  const file = await required(out, options);
  const asked = (process.env['OUTBOX_DATABASE_URL'] ?? '') !== '';
  const filters = asked ? await withDatabase((pool) => checkFilters(pool, file), { anySchema: true }) : null;
  const { config, source, warnings } = file;
  const value = {
    ok: true,
    file: source.path,
    destinations: config.destinations.length,
    routes: config.routes.length,
    warnings: warnings.map((warning) => ({ ...warning, text: describeFinding(warning) })),
    filters,
  };
  out.result(value, (colours) => {
    const counts = `${value.destinations} destinations, ${value.routes} routes`;
    const head = `${colours.green('ok')} ${source.path}: ${counts}\n`;
    if (filters === null) {
      const any = config.routes.some(({ where }) => where !== null);
      return any ? `${head}filters were not checked: OUTBOX_DATABASE_URL is not set\n` : head;
    }
    return filters.length === 0 ? head : `${head}\n${table(filterColumns, filters, colours)}`;
  });
}

const modeTexts = {
  predicate: 'predicate (@@): the path yields true or false',
  items: 'items (@?): matches when the path yields anything',
};

const filterColumns = [
  { title: 'ROUTE', value: ({ match }: FilterMode) => match },
  { title: 'FILTER', value: ({ where }: FilterMode) => where },
  {
    title: 'TAKEN AS',
    value: ({ mode }: FilterMode) => (mode === null ? 'valid (schema not migrated yet)' : modeTexts[mode]),
  },
];

/** `config explain` */
export async function explain(out: Output, options: ConfigOptions): Promise<void> {
  const { config } = await required(out, options);
  const { explainConfig } = await import('../../config/explain.ts');
  const { text, ...explanation } = explainConfig(config);
  out.result(explanation, () => text);
}

/** `config apply` */
export async function apply(out: Output, options: ConfigOptions): Promise<void> {
  const file = await required(out, options);
  await withDatabase(
    async (pool) => {
      const applied = await applyFile(pool, file);
      out.result(applied, () => `${describeApplied(applied, file.source.path)}\n`);
    },
    { patient: out },
  );
}

/** `config schema` */
export async function schema(out: Output): Promise<void> {
  const { configJsonSchema } = await import('../../config/jsonSchema.ts');
  const value = configJsonSchema();
  out.result(value, () => `${JSON.stringify(value, null, 2)}\n`);
}

/** These processes send nothing: a secret that is not in their environment is worth a warning at most. */
async function required(out: Output, options: ConfigOptions): Promise<LoadedConfig> {
  const file = await readConfigFile(options.config, out, 'warn');
  if (file !== undefined) return file;
  throw new OutboxError('OUTBOX_CONFIG_NOT_FOUND', 'there is no outbox.yaml in this directory', {
    hint: 'Name the file with --config or OUTBOX_CONFIG.',
  });
}
