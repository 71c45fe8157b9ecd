import { counted } from '../../core/counted.ts';
import { describeFinding } from '../../settings/findings.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { withOwnTypes } from '../../destination/registry.ts';
import { ownDestinationTypes } from '../destinationTypes.ts';
import { inspectDestinations, type InspectedDestination } from '../doctor/destinations.ts';
import { checkFilters, readConfigFile, type FilterMode } from '../configFile.ts';
import { withDatabase } from '../database.ts';
import { printable } from '../../core/printable.ts';
import type { Colours, Output } from '../output.ts';
import { table } from '../table.ts';
import { OutboxError } from '../../errors.ts';
import { applyFile, describeApplied } from './migrate.ts';

export interface ConfigOptions {
  readonly config?: string;
}

/** `config check`. Answers the exit code: 1 when a server that was asked lacks something. */
export async function check(
  out: Output,
  options: ConfigOptions & { readonly online?: boolean },
): Promise<0 | 1> {
  const file = await required(out, options);
  const asked = (process.env['OUTBOX_DATABASE_URL'] ?? '') !== '';
  const filters = asked ? await withDatabase((pool) => checkFilters(pool, file), { anySchema: true }) : null;
  const { config, source, warnings } = file;
  const online =
    options.online === true
      ? await inspectDestinations(
          file.config.destinations,
          withOwnTypes(await ownDestinationTypes()),
          process.env,
        )
      : null;
  const failed = online?.some(({ level }) => level === 'fail') === true;
  const value = {
    ok: !failed,
    file: source.path,
    destinations: config.destinations.length,
    routes: config.routes.length,
    warnings: warnings.map((warning) => ({ ...warning, text: describeFinding(warning) })),
    filters,
    ...(online === null ? {} : { online }),
  };
  out.result(value, (colours) => {
    const counts = `${counted(value.destinations, 'destination')}, ${counted(value.routes, 'route')}`;
    const head = `${colours.green('ok')} ${printable(source.path)}: ${counts}\n${onlineText(online, colours)}`;
    if (filters === null) {
      const any = config.routes.some(({ where }) => where !== null);
      return any ? `${head}filters were not checked: OUTBOX_DATABASE_URL is not set\n` : head;
    }
    return filters.length === 0 ? head : `${head}\n${table(filterColumns, filters, colours)}`;
  });
  return failed ? 1 : 0;
}

function onlineText(online: readonly InspectedDestination[] | null, colours: Colours): string {
  if (online === null) return '';
  if (online.length === 0) return 'no destination has a server that can be asked without an event\n';
  const marks = { ok: colours.green('ok'), warn: colours.yellow('warn'), fail: colours.red('FAIL') };
  const columns = [
    { title: '', value: ({ level }: InspectedDestination) => marks[level] },
    { title: 'DESTINATION', value: ({ destination }: InspectedDestination) => destination },
    { title: 'FOUND', value: ({ found }: InspectedDestination) => found },
  ];
  const hints = online.flatMap(({ hint, destination }) =>
    hint === null ? [] : [`${destination}: ${printable(hint)}\n`],
  );
  return `\n${table(columns, online, colours)}${hints.length === 0 ? '' : `\n${hints.join('')}`}`;
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
  const types = withOwnTypes(await ownDestinationTypes());
  const { text, ...explanation } = explainConfig(config, process.env, types);
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
  const value = configJsonSchema(withOwnTypes(await ownDestinationTypes()));
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
