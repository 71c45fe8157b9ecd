/** Figures of several databases under one address: each sample says whose it is. */
import type { Family, Sample } from './exposition.ts';

export interface FamiliesOfOne {
  /** Value of the label `database`. */
  readonly database: string;
  readonly families: readonly Family[];
}

/** One family a name, as the format demands, in the order in which they first come. */
export function mergeFamilies(parts: readonly FamiliesOfOne[]): Family[] {
  const merged = new Map<string, { readonly family: Family; readonly samples: Sample[] }>();
  for (const { database, families } of parts)
    for (const family of families) {
      const entry = merged.get(family.name) ?? { family, samples: [] };
      merged.set(family.name, entry);
      entry.samples.push(
        ...family.samples.map((sample) => ({ ...sample, labels: { database, ...sample.labels } })),
      );
    }
  return [...merged.values()].map(({ family, samples }) => ({ ...family, samples }));
}
