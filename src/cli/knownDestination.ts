import { nearestWord } from '../core/nearest.ts';
import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';
import { refuseUsage } from './failure.ts';

/** For a filter that matched nothing: a mistyped destination must not look like an idle one, or a clean queue. */
export async function refuseUnknownDestination(db: Queryable, name: string | undefined): Promise<void> {
  if (name === undefined) return;
  const names = (await readDestinations(db)).destinations.map((each) => each.name);
  if (!names.includes(name)) refuseUsage(`there is no destination ${name}`, knownNames(name, names));
}

/** The hint beside "there is no destination …". */
export function knownNames(name: string, names: readonly string[]): string {
  if (names.length === 0) return 'No configuration is applied.';
  const nearest = nearestWord(name, names);
  return `${nearest === null ? '' : `Did you mean ${nearest}? `}There are: ${names.join(', ')}`;
}
