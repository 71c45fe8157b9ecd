/** A receiver to look at: prints each delivery, refuses orders whose total is below zero, takes the others. */
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 8090);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const status = isRefused(body) ? 422 : 204;
  const { 'webhook-id': id, 'outbox-attempt': attempt } = request.headers;
  console.log(`${status} ${id} attempt ${attempt}: ${body}`);
  response.writeHead(status).end(status === 422 ? 'total must not be negative' : undefined);
});
server.listen(port, () => console.log(`listening on ${server.address().port}`));

function isRefused(body) {
  try {
    return JSON.parse(body).total < 0;
  } catch {
    return true;
  }
}
