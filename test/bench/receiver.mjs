/** The downstream service: answers 204, or what it is told to, and counts. Payloads that carry `"at": <ms>` give a commit-to-receipt time. */
import { createServer } from 'node:http';

let count = 0;
let times = [];
let answer = 204;
const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    count++;
    const at = /"at": ?(\d{13}\.?\d*)/.exec(Buffer.concat(chunks).toString('latin1'));
    if (at !== null) times.push(performance.timeOrigin + performance.now() - Number(at[1]));
    response.writeHead(answer).end();
  });
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => process.send({ kind: 'listening', port: server.address().port }));
process.on('message', ({ reset, status }) => {
  answer = status ?? answer;
  process.send({ kind: 'count', count, times: reset ? times : [] });
  if (reset) {
    count = 0;
    times = [];
  }
});
