/** Clients of brokers: packages that only those install who use the type. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { OutboxError } from '../../errors.ts';

export interface Client {
  /** Its name in the registry: `amqplib`. */
  readonly package: string;
  /** `>=2.3`, or `>=1.35 <3`: what package.json says of it under peerDependencies. */
  readonly versions: string;
}

/**
 * The client's module.
 * @throws OutboxError OUTBOX_CLIENT_MISSING naming package and versions, when it is not installed or too old or too new
 */
export async function loadClient<Module>(client: Client, type: string): Promise<Module> {
  const missing = missingClient(client, type);
  if (missing !== null) throw missing;
  const { package: name, versions } = client;
  try {
    return (await import(name)) as Module;
  } catch (cause) {
    throw new OutboxError('OUTBOX_CLIENT_MISSING', `the package ${name} does not load: ${String(cause)}`, {
      hint: `Install it again: npm install '${name}@${versions}'`,
      cause,
    });
  }
}

/** What is wrong with the client of a destination type; null when it is there in a version that serves. */
export function missingClient({ package: name, versions }: Client, type: string): OutboxError | null {
  const found = installedVersion(name);
  if (found !== null && satisfies(found, versions)) return null;
  const instead = found === null ? 'it is not installed' : `installed is ${found}`;
  return new OutboxError(
    'OUTBOX_CLIENT_MISSING',
    `the type ${type} needs the package ${name} ${versions}; ${instead}`,
    { hint: `npm install '${name}@${versions}'` },
  );
}

/** Beside this package, or above it: where Node itself would look. */
function installedVersion(name: string): string | null {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const { version } = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as {
        version?: unknown;
      };
      if (typeof version === 'string') return version;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** Of a range made of `>=a.b.c` and `<d`, all of which have to hold. A pre-release counts as its release. */
export function satisfies(version: string, range: string): boolean {
  return range.split(/\s+/).every((bound) => {
    const [, sign, limit] = /^(>=|<)(\d+(?:\.\d+)*)$/.exec(bound) ?? [];
    if (sign === undefined || limit === undefined) throw new Error(`not a range of versions: ${range}`);
    const order = compare(version, limit);
    return sign === '<' ? order < 0 : order >= 0;
  });
}

function compare(one: string, other: string): number {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): number[] {
  return version.split(/[-+]/)[0]!.split('.').map(Number);
}
