/** Whether this run is to leave nothing out: OUTBOX_TEST_ALL=1. Without, each behaviour is shown once, and what takes long by nature is less. */
export const everything = process.env['OUTBOX_TEST_ALL'] === '1';

/** Days of partitions ahead in a test's database: those that the product makes, or fewer in everyday runs (globalSetup.ts). */
export const partitionDaysAhead = everything ? 30 : 8;

/** To be called first in a test that takes long by nature; it is skipped else, and counted with the reason: `kills by the hundred`. */
export function onlyWithEverything(context: { skip(note?: string): void }, why = 'it takes minutes'): void {
  if (!everything) context.skip(`left to OUTBOX_TEST_ALL=1: ${why}`);
}
