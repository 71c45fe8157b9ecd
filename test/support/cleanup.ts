import { onTestFinished } from 'vitest';

const untilTheFileEnds: (() => unknown)[] = [];

/** For everyFile.ts: one process runs many files and keeps the modules that they share. */
export async function endWhatTheFileOpened(): Promise<void> {
  while (untilTheFileEnds.length > 0) await untilTheFileEnds.pop()?.();
}

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
