import { afterAll, describe, test } from 'vitest';
import { destinationConformance, type Harness, type RowName } from '../../src/testing/conformance/index.ts';
import { createTestDatabase, servers } from '../support/index.ts';
import { everything, onlyWithEverything } from '../support/everything.ts';

export interface Conformed {
  /** Without OUTBOX_TEST_ALL=1 only these rows run, the rest is named as left out; none: nothing is started. Default: all run. */
  readonly short?: readonly RowName[];
  /** Only these, in every run: for a second kind of a type whose rows are the first's. Default: all. */
  readonly rows?: readonly RowName[];
  /** Asks for what a machine may lack, `requires.…`: called first in every test. */
  readonly requires?: () => unknown;
}

/** The suite in vitest, on the test run's own PostgreSQL and Temporal. */
export function conform(harness: Harness, { short, rows, requires }: Conformed = {}): void {
  const name = harness.name ?? harness.type.name;
  if (everything || short?.length !== 0)
    destinationConformance(
      {
        describe,
        test: (sentence, options, body) =>
          test(sentence, options, async () => {
            requires?.();
            await body();
          }),
        after: afterAll,
      },
      harness,
      {
        ...(short === undefined || everything ? (rows === undefined ? {} : { only: rows }) : { only: short }),
        outbox: async () => {
          const { temporalAddress, temporalNamespace } = servers();
          const { url } = await createTestDatabase({ migrated: false });
          return { databaseUrl: url, temporalAddress, temporalNamespace };
        },
      },
    );
  if (short !== undefined && !everything)
    test(`destination type ${name}: the rest of the suite`, (context) =>
      onlyWithEverything(context, 'servers of brokers, killed and cut off'));
}
