/**
 * An HTTP receiver that stores: each request a line of a file, written before it is answered. A process of its own, to be killed.
 * `node receiver.mjs PORT FILE`; what a path answers is in its first part.
 */
import { appendFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:http';

const [port, file] = process.argv.slice(2);
const largest = 2 * 1024 * 1024;

const answers = {
  topic: ({ body }) => (body.length > largest ? 413 : 204),
  picky: ({ headers }) => (headers['x-refuse'] === undefined ? 204 : 422),
  private: ({ headers }) => (headers.authorization === 'Bearer right' ? 204 : 401),
};

createServer((incoming, response) => {
  const chunks = [];
  incoming.on('data', (chunk) => chunks.push(chunk));
  incoming.on('end', () => {
    const { url, headers } = incoming;
    const body = Buffer.concat(chunks);
    const status = existsSync(`${file}.busy`)
      ? 503
      : (answers[url.split('/')[1]]?.({ headers, body }) ?? 404);
    if (status === 204 && incoming.method === 'POST')
      appendFileSync(file, `${JSON.stringify({ url, headers, body: body.toString('base64') })}\n`);
    response.writeHead(status).end();
  });
}).listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
