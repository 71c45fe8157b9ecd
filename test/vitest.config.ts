import { defineConfig } from 'vitest/config';
import { LongestFirst } from './longestFirst.ts';
import { everything } from './support/everything.ts';

const root = new URL('..', import.meta.url).pathname;

/** Folders whose tests need no running servers, or start their own: a filtered run of these starts at once. */
const serverless = ['core', 'config', 'destination', 'embedded', 'docs', 'http', 'chaos'].map(
  (folder) => `test/${folder}/**/*.test.ts`,
);

export default defineConfig({
  test: {
    root,
    // Temporal's native module and a shared V8 do not go together with worker threads.
    pool: 'forks',
    // A process runs many files: what each would load anew is a third of a whole run's work.
    isolate: false,
    setupFiles: ['test/support/everyFile.ts'],
    // Most files wait; kills and brokers by the dozen do not bear to be crowded.
    maxWorkers: everything ? 3 : 5,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: serverless, testTimeout: 120_000, hookTimeout: 120_000 },
      },
      {
        extends: true,
        test: {
          name: 'servers',
          include: ['test/**/*.test.ts'],
          exclude: [...serverless, '**/node_modules/**'],
          globalSetup: ['test/support/globalSetup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
