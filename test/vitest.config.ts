import { existsSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vitest/config';
import { LongestFirst } from './longestFirst.ts';
import { everything } from './support/everything.ts';

const root = new URL('..', import.meta.url).pathname;

/** Folders whose tests need no running servers, or start their own: a filtered run of these starts at once. */
const serverless = ['core', 'config', 'destination', 'embedded', 'docs', 'http', 'chaos'].map(
  (folder) => `test/${folder}/**/*.test.ts`,
);

/** They ask how busy a process is, so that one beside others is told too much: run.mjs runs them last, one by one. */
const quiet = ['test/order/hotLane.test.ts'];

const patience = { testTimeout: 120_000, hookTimeout: 120_000 };
const onServers = { globalSetup: ['test/support/globalSetup.ts'], ...patience };

/**
 * Everyday runs load our modules as `npm test` has just built them: Node reads them by itself, where each process would fetch and
 * evaluate several hundred through vite.
 */
const asBuilt: Plugin = {
  name: 'as-built',
  enforce: 'pre',
  async resolveId(source, importer) {
    if (!source.startsWith('.') || importer === undefined) return null;
    const path = new URL(source, `file://${importer}`).pathname;
    if (!/\/(src|activities|workflows)\/.*\.ts$/.test(path.slice(root.length - 1))) return null;
    const built = `${root}dist/${path.slice(root.length).replace(/\.ts$/, '.js')}`;
    return existsSync(built) ? built : null;
  },
};

export default defineConfig({
  plugins: everything ? [] : [asBuilt],
  test: {
    root,
    // Temporal's native module and a shared V8 do not go together with worker threads.
    pool: 'forks',
    // A process runs many files: what each would load anew is a third of a whole run's work.
    isolate: false,
    server: { deps: { external: [/\/dist\/(src|activities|workflows)\//] } },
    setupFiles: ['test/support/everyFile.ts'],
    // Most files wait; kills and brokers by the dozen do not bear to be crowded.
    maxWorkers: everything ? 4 : 5,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: serverless, ...patience },
      },
      {
        extends: true,
        test: {
          name: 'servers',
          include: ['test/**/*.test.ts'],
          exclude: [...serverless, ...quiet, '**/node_modules/**'],
          ...onServers,
        },
      },
      { extends: true, test: { name: 'quiet', include: quiet, ...onServers } },
    ],
  },
});
