/** A small run of what `npm run chaos:volume` does with millions. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { onlyWithEverything } from '../support/everything.ts';
import { createTestDatabase, servers } from '../support/index.ts';

interface VolumeReport {
  readonly problems: string[];
  readonly rows: { readonly dropped: number; readonly waiting: number; readonly kept: number }[];
}

const script = fileURLToPath(new URL('../chaos/volume.mjs', import.meta.url));

test.for([
  ['', [] as string[]],
  [' while somebody else’s transaction stays open', ['--open-transaction']],
] as const)(
  'days come and go%s: each is dropped, what is parked outlives it and is delivered in the end',
  { timeout: 150_000 },
  async ([, more], context) => {
    onlyWithEverything(context, 'large volumes');
    const database = await createTestDatabase({ migrated: false });
    const size = ['--events', '2000', '--days', '2', '--parked', '4'];
    const args = [...size, '--name', database.name, '--json', ...more];
    const at = ['--database', database.url, '--temporal', servers().temporalAddress];
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...args, ...at], {
      env: { ...process.env, TEMPORAL_NAMESPACE: servers().temporalNamespace },
    });
    const { problems, rows } = JSON.parse(stdout) as VolumeReport;
    expect(problems).toEqual([]);
    expect(rows.map(({ dropped, waiting, kept }) => ({ dropped: dropped >= 1, waiting, kept }))).toEqual(
      Array(2).fill({ dropped: true, waiting: 0, kept: 2 }),
    );
  },
);
