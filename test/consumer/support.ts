import { afterAll, describe, test } from 'vitest';
import {
  consumerConformance,
  type ConsumerHarness,
  type ConsumerRowName,
} from '../../src/testing/consumers/index.ts';
import { everything, onlyWithEverything } from '../support/everything.ts';
import { createTestDatabase } from '../support/index.ts';

/** The suite in vitest. `short`: without OUTBOX_TEST_ALL=1 only these rows run; none: nothing is started. */
export function conform(
  harness: ConsumerHarness,
  {
    short,
    requires,
  }: { readonly short?: readonly ConsumerRowName[]; readonly requires?: () => unknown } = {},
): void {
  if (everything || short?.length !== 0)
    consumerConformance(
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
        ...(short === undefined || everything ? {} : { only: short }),
        database: async () => (await createTestDatabase({ migrated: false })).url,
      },
    );
  if (short !== undefined && !everything)
    test(`consumer of ${harness.name}: the rest of the suite`, (context) =>
      onlyWithEverything(context, 'servers of brokers and consumers, killed'));
}
