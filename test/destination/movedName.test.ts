/** A name that moves while traffic goes on over connections that are kept alive. */
import { createServer, type Server } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Resolve } from '../../src/destination/http/connector.ts';
import { createHttpSender } from '../../src/destination/http/sender.ts';
import { wholeShare } from '../../src/destination/shared/share.ts';
import { eventually } from '../support/index.ts';
import { destination, message } from './support/fixtures.ts';

const closers: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Elsewhere than 127.0.0.1, and of this machine all the same. */
const elsewhere = process.platform === 'linux' ? '127.0.0.2' : '::1';

interface Place {
  readonly port: number;
  requests: number;
  connections: number;
}

/** A receiver at an address of this machine. */
async function receiverAt(host: string, port = 0): Promise<Place> {
  const place = { port, requests: 0, connections: 0 };
  const server: Server = createServer((request, response) => {
    request.resume().on('end', () => {
      place.requests++;
      response.writeHead(204).end();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', () => place.connections++);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(place, { port: (server.address() as AddressInfo).port });
}

async function stage(connectionAgeMs?: number) {
  const before = await receiverAt('127.0.0.1');
  const after = await receiverAt(elsewhere, before.port);
  let address = '127.0.0.1';
  const resolve: Resolve = (_, done) => setImmediate(() => done(null, [{ address, family: isIP(address) }]));
  const sender = createHttpSender(destination(`http://moves.example:${before.port}/`, { concurrency: 1 }), {
    ...{ env: {}, share: wholeShare, resolve },
    ...(connectionAgeMs === undefined ? {} : { connectionAgeMs }),
  });
  closers.push(() => sender.close());
  const send = async (): Promise<void> =>
    expect(await sender.send(message(), new AbortController().signal)).toMatchObject({
      kind: 'acknowledged',
    });
  return { before, after, send, move: () => void (address = elsewhere) };
}

test('traffic follows it once its connection is of age, and nothing is lost on the way', async () => {
  const { before, after, send, move } = await stage(200);
  await send();
  move();
  let sent = 1;
  // The first stays alive: whoever stayed on its connection would be answered by it for ever.
  await eventually(
    async () => {
      await send();
      sent++;
      expect(after.requests).toBeGreaterThan(0);
    },
    { interval: 5 },
  );
  expect(before.requests + after.requests).toBe(sent);
  const [stayed] = [before.requests];
  for (let n = 0; n < 20; n++) await send();
  expect(before.requests).toBe(stayed);
});

test('until then one connection carries all of it', async () => {
  const { before, after, send, move } = await stage();
  await send();
  move();
  for (let n = 0; n < 200; n++) await send();
  expect([before.requests, before.connections, after.requests]).toEqual([201, 1, 0]);
});
