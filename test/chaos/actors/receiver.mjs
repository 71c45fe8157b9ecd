/**
 * A receiver that can be killed. Its effect is a line in its journal, with the answer that it is about to give. `picky` refuses half of what
 * it sees for the first time; the others answer 500 or 503 now and then.
 */
import { createServer } from 'node:http';
import { chance, openJournal } from './journal.mjs';
import { receiptOf } from './receipt.mjs';

const { NAME, PORT, SEED, JOURNAL } = process.env;
const note = openJournal(JOURNAL);

createServer((request, response) => {
  request.on('error', () => undefined);
  request.resume().on('end', () => {
    const receipt = receiptOf(NAME, request.headers);
    const status = statusOf(receipt);
    note({ ...receipt, status });
    response.writeHead(status).end();
  });
}).listen(Number(PORT), '127.0.0.1');

function statusOf({ id, attempt }) {
  const drawn = chance(SEED, NAME, id, attempt);
  // Half: refusals that are all alike would be the destination's fault, which pauses it.
  if (NAME === 'picky') return attempt === 1 && drawn < 0.5 ? 422 : 204;
  return drawn < 0.005 ? 500 : drawn < 0.01 ? 503 : 204;
}
