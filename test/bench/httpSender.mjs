/**
 * Throughput of the HTTP sender against a minimal receiver in a process of its own, beside the bare undici loop.
 * Run: `npm run build && node test/bench/httpSender.mjs [messages]`; OUTBOX_DIST names another build. Prints messages per second and CPU
 * microseconds per message; the latter is the steadier figure on a shared machine.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';

const built = process.env.OUTBOX_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url));
const concurrency = 50;
const response = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n' +
    'connection: keep-alive\r\nkeep-alive: timeout=5\r\ncontent-length: 11\r\n\r\n{"ok":true}',
);

/** Answers each request by its framing alone, so that the sender is what is measured. */
function receive() {
  const server = createServer({ noDelay: true }, (socket) => {
    let unread = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      unread += chunk.toString('latin1');
      for (;;) {
        const end = unread.indexOf('\r\n\r\n');
        if (end === -1) return;
        const length = Number(/content-length: (\d+)/i.exec(unread.slice(0, end))?.[1] ?? 0);
        if (unread.length < end + 4 + length) return;
        unread = unread.slice(end + 4 + length);
        socket.write(response);
      }
    });
  });
  server.listen(0, '127.0.0.1', () => process.send?.(server.address().port));
}

async function main() {
  const { createSender } = await import(`${built}/src/destination/senders.js`);
  const messages = Number(process.argv[2] ?? 60_000);
  const receiver = fork(fileURLToPath(import.meta.url));
  const [port] = await once(receiver, 'message');
  const url = `http://127.0.0.1:${port}/webhooks`;
  await measure('bare undici: Pool.request, body dumped', messages, bareLoop(url));
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  for (const [name, extra] of [
    ['sender, unsigned', {}],
    ['sender, signed', { signing: { scheme: 'standard-webhooks', secrets: [secret] } }],
    [
      'sender, signed, CloudEvents binary',
      { signing: { scheme: 'standard-webhooks', secrets: [secret] }, cloudEvents: 'binary' },
    ],
  ]) {
    const sender = createSender({ ...destination(url), ...extra }, { env: {} });
    const { signal } = new AbortController();
    await measure(name, messages, async () => {
      const outcome = await sender.send(message, signal);
      // A sender that cannot send is quick.
      if (outcome.kind !== 'acknowledged') throw new Error(JSON.stringify(outcome));
    });
    await sender.close();
  }
  receiver.kill();
}

function bareLoop(url) {
  const pool = new Pool(new URL(url).origin, { connections: concurrency, pipelining: 1 });
  return async () => {
    const { body } = await pool.request({
      path: '/webhooks',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: message.payload,
    });
    await body.dump();
  };
}

async function measure(name, messages, once) {
  await loop(Math.min(messages, 10_000), once);
  const cpuBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  await loop(messages, once);
  const seconds = (performance.now() - startedAtMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const perSecond = Math.round(messages / seconds).toLocaleString('en');
  console.log(
    `${name.padEnd(40)} ${perSecond.padStart(8)}/s  ${((user + system) / messages).toFixed(1)} µs CPU`,
  );
}

async function loop(messages, once) {
  let left = messages;
  const lane = async () => {
    while (left-- > 0) await once();
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

const message = {
  eventId: '0192f0c1-2345-7890-abcd-ef0123456789',
  destination: 'billing',
  revision: 1,
  type: 'order.created',
  key: null,
  sequence: null,
  source: null,
  subject: null,
  contentType: 'application/json',
  payload: JSON.stringify({ order: 123, items: Array.from({ length: 8 }, (_, n) => ({ sku: `a${n}`, n })) }),
  headers: {},
  createdAt: '2026-01-01T00:00:00.000Z',
  attempt: 1,
};

function destination(url) {
  return {
    name: 'billing',
    type: 'http',
    url,
    method: 'POST',
    headers: {},
    timeoutMs: 15_000,
    retry: {
      initialIntervalMs: 5_000,
      backoffCoefficient: 3,
      maximumIntervalMs: 3_600_000,
      maximumAttempts: 12,
      scheduleToCloseTimeoutMs: 259_200_000,
      jitter: 0.2,
      scheduleMs: null,
      retryAfter: { honor: true, maximumMs: 3_600_000 },
      nonRetryableStatusCodes: [400, 401, 403, 404, 405, 410, 413, 415, 422, 501],
    },
    signing: null,
    auth: null,
    idempotencyKey: { quoted: true },
    cloudEvents: 'none',
    concurrency,
    batch: { maximum: 1000, inFlight: 2, splitUpTo: 5 },
    circuit: { probeUrl: null },
    network: { allowPrivate: true },
    responseExcerpt: 0,
  };
}

if (process.send === undefined) await main();
else receive();
