/** Whether this run is to leave nothing out: OUTBOX_TEST_ALL=1. Tests of a minute each are skipped else, and counted with that reason. */
export const everything = process.env['OUTBOX_TEST_ALL'] === '1';

/** To be called first in a test that takes long. */
export function onlyWithEverything(context: { skip(note?: string): void }): void {
  if (!everything) context.skip('left to OUTBOX_TEST_ALL=1');
}
