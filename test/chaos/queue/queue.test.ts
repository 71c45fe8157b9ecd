/**
 * `outbox → RabbitMQ → consumer`, everything killed at random. A short run where everything is to run; a longer one by
 * `npm run chaos -- --queue rabbitmq`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onlyWithEverything } from '../../support/everything.ts';
import { atEnd, requires } from '../../support/index.ts';
import { runQueueChaos } from './rig.ts';

const byHand = process.env['CHAOS_SEED'] !== undefined;
const seed = Number(process.env['CHAOS_SEED'] ?? 7);
const minutes = Number(process.env['CHAOS_MINUTES'] ?? 0.4);
const eventsPerSecond = Number(process.env['CHAOS_RATE'] ?? 60);
const settleMs = 240_000;

test(
  'from the outbox over a queue to a consumer, everything killed at random: nothing lost, no effect twice, each key in order',
  { timeout: minutes * 60_000 + 2 * settleMs + 120_000 },
  async (context) => {
    if (!byHand) onlyWithEverything(context, 'chaos');
    requires.program('rabbitmq-server');
    const kept = process.env['CHAOS_DIRECTORY'];
    const directory = kept ?? (await mkdtemp(join(tmpdir(), 'outbox-chaos-')));
    atEnd(async () => {
      if (kept === undefined) await rm(directory, { recursive: true, force: true });
    });
    const { sums, faults, ...figures } = await runQueueChaos({
      ...{ seed, durationMs: minutes * 60_000, eventsPerSecond, directory, settleMs },
      say: (line) => (byHand ? process.stderr.write(`chaos: ${line}\n`) : undefined),
    });
    process.stderr.write(
      `chaos over a queue, seed ${seed}, ${minutes} min: ${JSON.stringify({ ...figures, faults })}\n`,
    );
    expect(sums).toEqual({ lost: [], doubled: [], unexpected: [], reordered: [] });
    expect(figures.written).toBeGreaterThan(0);
    expect(Object.keys(faults).length).toBeGreaterThan(0);
  },
);
