/**
 * Everything at once, with real servers and processes, and then what must hold all the same. A short run with a fixed seed where
 * everything is to run; a longer one by `npm run chaos`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onlyWithEverything } from '../support/everything.ts';
import { atEnd } from '../support/index.ts';
import { runChaos, type Report } from './rig.ts';

const seed = Number(process.env['CHAOS_SEED'] ?? 7);
const minutes = Number(process.env['CHAOS_MINUTES'] ?? 0.5);
const eventsPerSecond = Number(process.env['CHAOS_RATE'] ?? 60);
/** The first is what is promised; the suite shares its machine with other tests. */
const patience =
  process.env['CHAOS_BUSY'] === 'no'
    ? { healMs: 60_000, calmRepeats: 0 }
    : { healMs: 150_000, calmRepeats: 500 };
const options = (process.env['CHAOS_OPTIONS'] ?? '').split(' ');

test(
  'whatever is killed, stopped or cut off, nothing is lost, doubled under another key, or acted on twice',
  async (context) => {
    if (process.env['CHAOS_SEED'] === undefined) onlyWithEverything(context, 'chaos');
    const kept = process.env['CHAOS_DIRECTORY'];
    const directory = kept ?? (await mkdtemp(join(tmpdir(), 'outbox-chaos-')));
    let failed = true;
    // The history of a failed run is what one needs then.
    atEnd(async () => {
      if (kept === undefined && !failed) await rm(directory, { recursive: true, force: true });
    });
    const report = await runChaos({
      seed,
      durationMs: minutes * 60_000,
      eventsPerSecond,
      patience,
      wipe: options.includes('wipe'),
      restore: options.includes('restore'),
      directory,
      say: (line) => process.stderr.write(`chaos: ${line}\n`),
    });
    process.stderr.write(`${table(report)}\n`);
    expect(
      report.checks.flatMap(({ name, violations }) => violations.map((each) => `${name}: ${each}`)),
    ).toEqual([]);
    expect(report.facts['faults']).toBeGreaterThan(0);
    // A check that saw nothing shows nothing.
    for (const { name, looked } of report.checks) expect(looked, name).toBeGreaterThan(0);
    failed = false;
  },
  minutes * 60_000 + 600_000,
);

function table({ checks, facts, historyPath }: Report): string {
  const lines = [
    ...Object.entries(facts).map(([name, value]) => `  ${name.padEnd(34)}${value}`),
    ...checks.map(
      ({ name, violations, looked }) =>
        `  ${name.padEnd(34)}${violations.length === 0 ? 'holds' : `${violations.length} VIOLATIONS`} (${looked} looked at)`,
    ),
  ];
  return [`chaos: seed ${seed}`, ...lines, `  history: ${historyPath}`].join('\n');
}
