/**
 * A receiver whose work is in a database of its own, by this package's own receiver and inbox: a payment raises a balance. Nothing in its tables
 * keeps a payment from being booked twice but the inbox.
 */
import { createServer } from 'node:http';
import pg from 'pg';
import { createReceiver } from '../../../dist/src/receiver/index.js';
import { openJournal } from './journal.mjs';
import { receiptOf } from './receipt.mjs';

const { NAME, PORT, JOURNAL, BANK_URL, BANK_SECRET } = process.env;
const note = openJournal(JOURNAL);
const pool = new pg.Pool({ connectionString: BANK_URL, connectionTimeoutMillis: 3_000, max: 10 });
const receiver = createReceiver({
  consumer: NAME,
  secrets: [BANK_SECRET],
  pool,
  handler: async (client, message) => {
    await client.query('insert into bookings (event) values ($1)', [message.messageId]);
    const account = message.json().number % 16;
    await client.query('update balances set payments = payments + 1 where account = $1', [account]);
  },
  onError: () => undefined,
});

createServer((request, response) => {
  const chunks = [];
  request.on('error', () => undefined);
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const { method, headers } = request;
    const { status, ...rest } = await receiver.answer({ method, headers, body: Buffer.concat(chunks) });
    note({ ...receiptOf(NAME, headers), status });
    response.writeHead(status, rest.headers).end(rest.body);
  });
}).listen(Number(PORT), '127.0.0.1');
