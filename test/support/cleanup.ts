import { afterAll, onTestFinished } from 'vitest';

const untilTheFileEnds: (() => unknown)[] = [];

/** Registered before the test file's own hooks, and so run after them. */
afterAll(async () => {
  while (untilTheFileEnds.length > 0) await untilTheFileEnds.pop()?.();
}, 120_000);

/**
 * Ends what a helper opened, latest first: when the running test is over, or, opened in `beforeAll`, when the file is.
 * What is given must bear to be called after the test closed it itself.
 */
export function atEnd(close: () => unknown): void {
  try {
    onTestFinished(async () => void (await close()), 120_000);
  } catch {
    untilTheFileEnds.push(close);
  }
}
