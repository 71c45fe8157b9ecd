/** Versions of servers and Node that this package is tried with; docs/versions.md says how. */

export interface Range {
  readonly oldest: number;
  readonly newest: number;
}

/** Major versions. */
export const postgresVersions: Range = { oldest: 14, newest: 18 };

/** Major versions of Node; odd ones are not tried. */
export const nodeVersions: Range = { oldest: 20, newest: 24 };

/** The oldest Temporal server that was tried. */
export const oldestTemporal = '1.29.1';

export type Verdict = 'tried' | 'too old' | 'not tried';

export function judge(major: number, { oldest, newest }: Range): Verdict {
  if (major < oldest) return 'too old';
  return major > newest ? 'not tried' : 'tried';
}

/** Below zero where the first is older; by numbers between dots, what follows a `-` left out. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => text.split('-')[0]!.split('.').map(Number));
  for (const [index, number] of a!.entries()) {
    const difference = number - (b![index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a!.length - b!.length;
}
