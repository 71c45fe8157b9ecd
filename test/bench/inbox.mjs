import { fork } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Pool } from 'undici';
import { median } from './figures.mjs';

const kinds = [
  ['inbox', 'effect once, with the inbox'],
  ['effect', 'the same effect in a transaction, without inbox'],
  ['verify', 'the same receiver without a database'],
];
const key = Buffer.alloc(32, 7);
const secret = `whsec_${key.toString('base64')}`;
const concurrency = 50;

/** Signed messages to a receiver, 50 at once: what the inbox costs it. */
export async function measureInbox(stage, { messages, rounds, say }) {
  const rates = new Map(kinds.map(([kind]) => [kind, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const [kind, name] of kinds) {
      const rate = await measureOnce(stage, kind, messages);
      rates.get(kind).push(rate);
      say(`inbox, round ${round} of ${rounds}: ${name} ${Math.round(rate)}/s`);
    }
  }
  return kinds.map(([kind, name]) => ({
    receiver: name,
    'messages/s (median)': Math.round(median(rates.get(kind))),
    min: Math.round(Math.min(...rates.get(kind))),
    max: Math.round(Math.max(...rates.get(kind))),
    'ratio to inbox': median(rates.get(kind).map((rate, round) => rate / rates.get('inbox')[round])).toFixed(
      2,
    ),
  }));
}

async function measureOnce(stage, kind, messages) {
  const env = { BENCH_KIND: kind, BENCH_DATABASE_URL: await stage.newDatabase(), BENCH_SECRET: secret };
  const receiver = fork(new URL('./inboxReceiver.mjs', import.meta.url).pathname, {
    env: { ...process.env, ...env },
  });
  const [{ port }] = await once(receiver, 'message');
  const http = new Pool(`http://127.0.0.1:${port}`, { connections: concurrency, pipelining: 1 });
  await post(http, Math.ceil(messages / 10));
  const startedAt = performance.now();
  await post(http, messages);
  const seconds = (performance.now() - startedAt) / 1000;
  await http.close();
  receiver.kill('SIGKILL');
  return messages / seconds;
}

async function post(http, count) {
  let left = count;
  const lane = async () => {
    while (left-- > 0) {
      const body = JSON.stringify({ orderId: left, customer: `c-${left % 997}`, note: 'x'.repeat(180) });
      const id = uuid7();
      const timestamp = String(Math.floor(Date.now() / 1000));
      const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
      const answer = await http.request({
        path: '/',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': `v1,${signature}`,
        },
        body,
      });
      await answer.body.dump();
      if (answer.statusCode !== 204) throw new Error(`the receiver answered ${answer.statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
