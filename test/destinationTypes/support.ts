import { parseConfig } from '../../src/config/load.ts';
import type { DestinationType } from '../../src/destination/type.ts';
import { ConfigError, type ConfigProblem } from '../../src/settings/findings.ts';

/** What is said of a configuration that is refused. */
export function problemsIn(
  text: string,
  destinationTypes: readonly DestinationType[] = [],
  env: Readonly<Record<string, string>> = {},
): readonly ConfigProblem[] {
  try {
    parseConfig(text, { env, destinationTypes });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('the configuration was taken');
}
