import { setTimeout as sleep } from 'node:timers/promises';

const concurrency = 50;
const slow = { share: 0.01, ms: 5_000 };
/** A share of the receipts at each end is not measured: everything begins together, and the last slow answers are waited for. */
const measured = { from: 0.1, to: 0.9 };

/** A receiver of which 1% of the answers take 5 s: how much of what its concurrency allows is used? */
export async function measureSlow(stage, contestants, { events, say }) {
  const rows = [];
  for (const contestant of contestants.filter(({ name }) => name === 'temporal-outbox')) {
    const player = await stage.launch(contestant, {
      databaseUrl: await stage.newDatabase(),
      receiverUrl: stage.receiverUrl,
    });
    await player.tell({ fill: events }, 'filled');
    await stage.received(true);
    await stage.slowDown(slow);
    const before = await stage.workflows();
    await player.tell('begin', 'begun');
    const at = {};
    for (const [mark, share] of Object.entries(measured)) {
      while ((await stage.received()).count < events * share) await sleep(5);
      at[mark] = performance.now();
    }
    while ((await player.tell('left', 'left')).left > 0) await sleep(50);
    const { count, meanMs } = await stage.received(true);
    await stage.slowDown({ share: 0, ms: 0 });
    await sleep(2_000);
    const workflows = (await stage.workflows()) - before;
    await player.end();
    const perSecond = (events * (measured.to - measured.from) * 1000) / (at.to - at.from);
    const allowed = (concurrency * 1000) / meanMs;
    const row = {
      contestant: contestant.name,
      events,
      requests: count,
      workflows,
      'events/s': Math.round(perSecond),
      'allowed/s': Math.round(allowed),
      used: (perSecond / allowed).toFixed(2),
    };
    say(`slow: ${JSON.stringify(row)}`);
    rows.push(row);
  }
  return rows;
}
