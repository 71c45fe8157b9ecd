import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';
import type { DestinationType } from '../destination/type.ts';
import { OutboxError } from '../errors.ts';

let loading: Promise<readonly DestinationType[]> | undefined;

/**
 * Destination types of a user's own: OUTBOX_DESTINATION_TYPES names modules, separated by commas, that export one, or a list of
 * them, as `default`. `./file.js` is from the working directory; anything else is a package.
 * @throws OutboxError OUTBOX_DESTINATION_TYPE when a module cannot be loaded or exports none
 */
export function ownDestinationTypes(
  env: NodeJS.ProcessEnv = process.env,
): Promise<readonly DestinationType[]> {
  return (loading ??= load(env['OUTBOX_DESTINATION_TYPES'] ?? ''));
}

async function load(names: string): Promise<readonly DestinationType[]> {
  const modules = names
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return (await Promise.all(modules.map(typesOf))).flat();
}

async function typesOf(name: string): Promise<readonly DestinationType[]> {
  const specifier = /^\.{0,2}\//.test(name) ? pathToFileURL(resolve(name)).href : name;
  let module: { readonly default?: unknown };
  try {
    module = (await import(specifier)) as { readonly default?: unknown };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OutboxError(
      'OUTBOX_DESTINATION_TYPE',
      `OUTBOX_DESTINATION_TYPES: ${name} cannot be loaded: ${why}`,
      {
        hint: 'Name a package, or a file from the working directory as ./file.js; several are separated by commas.',
        cause,
      },
    );
  }
  const { default: exported } = module;
  if (exported === undefined)
    throw new OutboxError(
      'OUTBOX_DESTINATION_TYPE',
      `OUTBOX_DESTINATION_TYPES: ${name} has no default export`,
      {
        hint: 'Export the destination type, or a list of them, as default.',
      },
    );
  return (Array.isArray(exported) ? exported : [exported]) as readonly DestinationType[];
}
