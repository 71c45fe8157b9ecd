/**
 * Refuses the events that say so twice, then takes them as the others; remembers, for each lane (the path), in which order the events
 * of a key came first.
 */
import { createServer } from 'node:http';

const refusals = 2;
const lanes = new Map();
const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => response.writeHead(answer(request.url, Buffer.concat(chunks))).end());
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => process.send({ kind: 'listening', port: server.address().port }));

function answer(path, body) {
  const { key, n, refused } = JSON.parse(body);
  const lane = lanes.get(path) ?? { requests: 0, tries: new Map(), byKey: new Map() };
  lanes.set(path, lane);
  lane.requests++;
  const event = `${key}/${n}`;
  const tries = (lane.tries.get(event) ?? 0) + 1;
  lane.tries.set(event, tries);
  if (tries === 1) lane.byKey.set(key, [...(lane.byKey.get(key) ?? []), n]);
  // 409 is about the event; 5xx in such numbers would be the circuit's business.
  return refused && tries <= refusals ? 409 : 204;
}

process.on('message', ({ lane: path, forget }) => {
  const { requests, tries, byKey } = lanes.get(path) ?? { requests: 0, tries: new Map(), byKey: new Map() };
  const inOrder = [...byKey.values()].filter((numbers) => numbers.every((n, at) => n === at + 1)).length;
  process.send({ kind: 'lane', requests, events: tries.size, keys: byKey.size, keysInOrder: inOrder });
  if (forget) lanes.delete(path);
});
