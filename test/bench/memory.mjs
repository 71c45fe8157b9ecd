import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { contestants } from './contestants/index.mjs';

const waiting = 1_000_000;
const watchedSeconds = 30;

/** Resident memory of `temporal-outbox run` while a million rows wait and are being drained. Linux only: read from /proc. */
export async function measureMemory(stage, { say }) {
  const databaseUrl = await stage.newDatabase();
  const filler = await stage.launch(contestants[0], { databaseUrl, receiverUrl: stage.receiverUrl });
  for (let filled = 0; filled < waiting; filled += 100_000) {
    await filler.tell({ fill: 100_000 }, 'filled');
    say(`memory: ${filled + 100_000} rows wait`);
  }
  const command = stage.runCommand(databaseUrl);
  let peakMb = 0;
  for (let quarter = 0; quarter < watchedSeconds * 4; quarter++) {
    await sleep(250);
    const rssKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${command.pid}/status`, 'utf8'))?.[1]);
    peakMb = Math.max(peakMb, rssKb / 1024);
  }
  const { left } = await filler.tell('left', 'left');
  await command.end();
  await filler.end();
  return [
    {
      'rows waiting at the start': waiting,
      'still waiting after 30 s': left,
      'peak resident MiB': Math.round(peakMb),
    },
  ];
}
