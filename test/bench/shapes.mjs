import { drainOnce } from './drain.mjs';

const alike = ['temporal-outbox', 'graphile-worker', 'pg-boss'];
const shapes = [
  { what: '300 B', events: 10_000, payloadBytes: 300 },
  { what: '10 kB', events: 4_000, payloadBytes: 10_000 },
  { what: '200 kB', events: 400, payloadBytes: 200_000 },
  { what: '300 B, answers take 20 ms', events: 5_000, payloadBytes: 300, answerMs: 20 },
];

/** Drains of larger payloads, and into a receiver that takes its time: events a second, and the most memory that the contestant had. */
export async function measureShapes(stage, contestants, { say }) {
  const rows = [];
  for (const { what, events, payloadBytes, answerMs } of shapes)
    for (const contestant of contestants.filter(({ name }) => alike.includes(name))) {
      if (answerMs !== undefined) await stage.slowDown({ share: 1, ms: answerMs });
      const { rate, peakMb } = await drainOnce(stage, contestant, events, payloadBytes);
      await stage.slowDown({ share: 0, ms: 0 });
      const row = {
        contestant: contestant.name,
        payloads: what,
        events,
        'events/s': Math.round(rate),
        'peak MiB': Math.round(peakMb),
      };
      say(`shapes: ${JSON.stringify(row)}`);
      rows.push(row);
    }
  return rows;
}
