/** The downstream service: answers 204, or what it is told to, and counts. Payloads that carry `"at": <ms>` give a commit-to-receipt time. */
import { createServer } from 'node:http';

let count = 0;
let times = [];
let answer = 204;
let text = '';
/** Of so many answers in a hundred, milliseconds that they take. */
let slow = { share: 0, ms: 0 };
let tookMs = 0;
const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    count++;
    const at = /"at": ?(\d{13}\.?\d*)/.exec(Buffer.concat(chunks).toString('latin1'));
    if (at !== null) times.push(performance.timeOrigin + performance.now() - Number(at[1]));
    const ofPath = Number(/^\/slow\/(\d+)$/.exec(request.url)?.[1] ?? 0);
    const ms = slow.share > 0 && count % Math.round(1 / slow.share) === 0 ? slow.ms : ofPath;
    tookMs += ms;
    if (ms === 0) response.writeHead(answer).end(text);
    else setTimeout(() => response.writeHead(answer).end(text), ms);
  });
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => process.send({ kind: 'listening', port: server.address().port }));
process.on('message', ({ reset, status, says, slowDown }) => {
  text = says ?? text;
  answer = status ?? answer;
  slow = slowDown ?? slow;
  process.send({ kind: 'count', count, meanMs: tookMs / count, times: reset ? times : [] });
  if (reset) {
    count = 0;
    tookMs = 0;
    times = [];
  }
});
