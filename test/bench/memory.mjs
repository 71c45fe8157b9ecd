import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../dist/src/storage/connect.js';
import { contestants } from './contestants/index.mjs';
import { peakMbOf } from './cpu.mjs';

const fillAtOnce = 100_000;
const idleSeconds = 15;
const watchedSeconds = 30;

/**
 * Resident memory of `temporal-outbox run` with nothing to do, while so many rows wait for a destination that is paused, and while they are
 * being drained. Linux only.
 */
export async function measureMemory(stage, { waiting, say }) {
  const databaseUrl = await stage.newDatabase();
  const filler = await stage.launch(contestants[0], { databaseUrl, receiverUrl: stage.receiverUrl });
  const idle = await peakOf(stage, databaseUrl, idleSeconds);
  for (let filled = 0; filled < waiting; filled += fillAtOnce) {
    await filler.tell({ fill: Math.min(fillAtOnce, waiting - filled) }, 'filled');
    say(`memory: ${Math.min(filled + fillAtOnce, waiting)} rows wait`);
  }
  const pool = connect(databaseUrl);
  await pool.query(`select outbox.pause_destination('receiver', 'bench')`);
  const paused = await peakOf(stage, databaseUrl, watchedSeconds);
  await pool.query('update outbox.destinations set paused_at = null, paused_reason = null');
  await pool.end();
  const busy = await peakOf(stage, databaseUrl, watchedSeconds);
  const { left } = await filler.tell('left', 'left');
  await filler.end();
  return [
    {
      'rows waiting at the start': waiting,
      [`still waiting after ${watchedSeconds} s`]: left,
      'peak resident MiB, idle': Math.round(idle),
      'while they wait for a paused destination': Math.round(paused),
      'while they are drained': Math.round(busy),
    },
  ];
}

/** MiB. */
async function peakOf(stage, databaseUrl, seconds) {
  const command = stage.runCommand(databaseUrl);
  await sleep(seconds * 1_000);
  const peak = peakMbOf(command.pid);
  await command.end();
  return peak;
}
