import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { SendOutcome } from '../../src/core/outcome.ts';
import { closeSenders, deliverTo, message, sender } from './support/fixtures.ts';
import { closeReceivers, httpReceiver, tcpReceiver } from './support/receivers.ts';

afterEach(async () => {
  await closeSenders();
  await closeReceivers();
});

const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
const never = new AbortController().signal;

describe('the deadline of an attempt', () => {
  it('ends one that gets no answer, and the next takes a new connection', async () => {
    const receiver = await tcpReceiver((socket, _, count) => {
      if (count > 1) socket.write(answer);
    });
    const to = sender(receiver.url, { timeoutMs: 150, concurrency: 1 });
    const outcome = await to.deliver();
    expect(outcome).toMatchObject({
      kind: 'unreachable',
      errorClass: 'timeout',
      status: null,
      retryAfterMs: null,
    });
    expect((outcome as { durationMs: number }).durationMs).toBeGreaterThanOrEqual(149);
    expect((outcome as { durationMs: number }).durationMs).toBeLessThan(400);
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(receiver.connections).toBe(2);
  });

  it('covers an answer that comes a byte at a time', async () => {
    const receiver = await tcpReceiver((socket) => {
      let sent = 0;
      const timer = setInterval(() => socket.write(`${answer}`.charAt(sent++)), 40);
      socket.on('close', () => clearInterval(timer));
    });
    const startedAtMs = performance.now();
    expect(await deliverTo(receiver.url, { timeoutMs: 200 })).toMatchObject({
      kind: 'refused',
      errorClass: 'invalid-response',
    });
    expect(performance.now() - startedAtMs).toBeLessThan(500);
  });

  it('covers connecting: TLS that never answers', async () => {
    const { createServer } = await import('node:net');
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const to = sender(`https://127.0.0.1:${port}/`, { timeoutMs: 150, concurrency: 1 });
    const outcomes = await Promise.all([to.deliver(), to.deliver()]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'timeout', status: null });
      expect(outcome).toHaveProperty('message', expect.stringContaining('no connection within 150 ms'));
    }
    await to.close();
    silent.close();
  });

  it('starts when its turn comes, not while it waits for a connection', async () => {
    const receiver = await httpReceiver((response) => setTimeout(() => response.writeHead(200).end(), 60));
    const to = sender(receiver.url, { timeoutMs: 200, concurrency: 1 });
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => to.deliver()));
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(6).fill('acknowledged'));
  });
});

describe('the signal', () => {
  it('already fired sends nothing', async () => {
    const receiver = await httpReceiver();
    expect(await sender(receiver.url).send(message(), AbortSignal.abort())).toEqual({ kind: 'aborted' });
    expect(receiver.connections).toBe(0);
  });

  it('stops what is sent, what waits, and nothing of another signal', async () => {
    const sockets: Socket[] = [];
    const receiver = await tcpReceiver((socket) => void sockets.push(socket));
    const to = sender(receiver.url, { concurrency: 2 });
    const stop = new AbortController();
    const stopped = Array.from({ length: 5 }, () => to.send(message(), stop.signal));
    const kept = to.send(message(), never);
    await until(() => sockets.length === 2);
    stop.abort();
    expect(await Promise.all(stopped)).toEqual(Array(5).fill({ kind: 'aborted' }));
    await until(() => sockets.length === 3);
    sockets[2]?.write(answer);
    expect(await kept).toMatchObject({ kind: 'acknowledged' });
    expect(sockets).toHaveLength(3);
  });

  it('that fires after the outcome changes nothing', async () => {
    const receiver = await httpReceiver();
    const stop = new AbortController();
    expect(await sender(receiver.url).send(message(), stop.signal)).toMatchObject({ kind: 'acknowledged' });
    stop.abort();
  });

  it('fired while connecting leaves the request unsent', async () => {
    const receiver = await httpReceiver();
    const stop = new AbortController();
    const sent = sender(receiver.url).send(message(), stop.signal);
    stop.abort();
    expect(await sent).toEqual({ kind: 'aborted' });
    await sleep(50);
    expect(receiver.requests).toHaveLength(0);
  });
});

describe('connections', () => {
  it('are never more than the concurrency, and are used again', async () => {
    let [now, most] = [0, 0];
    const receiver = await httpReceiver((response) => {
      most = Math.max(most, ++now);
      setTimeout(() => (now--, response.writeHead(200).end('ok')), 2);
    });
    const to = sender(receiver.url, { concurrency: 7 });
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => to.deliver()));
    expect(outcomes.every(({ kind }) => kind === 'acknowledged')).toBe(true);
    expect(most).toBe(7);
    expect(receiver.connections).toBe(7);
  });

  it('closed by the receiver while idle cost no attempt', async () => {
    const receiver = await tcpReceiver((socket) => {
      socket.write(answer);
      setTimeout(() => socket.end(), 5);
    });
    const to = sender(receiver.url, { concurrency: 1 });
    const outcomes: SendOutcome[] = [];
    for (let n = 0; n < 5; n++) {
      outcomes.push(await to.deliver());
      await sleep(30);
    }
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(5).fill('acknowledged'));
    expect(receiver.connections).toBe(5);
  });

  it('that break under a request leave it unreachable, and are not tried again behind the back of the caller', async () => {
    const receiver = await tcpReceiver((socket, _, count) => {
      if (count === 2) socket.destroy();
      else socket.write(answer);
    });
    const to = sender(receiver.url, { concurrency: 1 });
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(await to.deliver()).toMatchObject({
      kind: 'unreachable',
      errorClass: 'connection-reset',
      status: null,
    });
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
  });

  it('that say more than one answer do not acknowledge the next message', async () => {
    const receiver = await tcpReceiver((socket, _, count) => {
      if (count === 1) socket.write(answer + answer);
      else socket.write('HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n');
    });
    const to = sender(receiver.url, { concurrency: 1 });
    const [first, second] = await Promise.all([to.deliver(), to.deliver()]);
    expect(first).toMatchObject({ kind: 'acknowledged' });
    expect(second).toMatchObject({ kind: 'refused', status: 500 });
  });

  it('survive a burst of messages that no request can carry', async () => {
    const receiver = await httpReceiver();
    const to = sender(receiver.url, { concurrency: 2 });
    const bad = Array.from({ length: 20_000 }, () => to.deliver({ headers: { 'x a': 'y' } }));
    const good = to.deliver();
    expect(new Set((await Promise.all(bad)).map(({ kind }) => kind))).toEqual(new Set(['refused']));
    expect(await good).toMatchObject({ kind: 'acknowledged' });
  });
});

describe('closing', () => {
  it('waits for what was handed in, and takes no more', async () => {
    const receiver = await httpReceiver((response) => setTimeout(() => response.writeHead(200).end(), 30));
    const to = sender(receiver.url, { concurrency: 2 });
    const handedIn = Array.from({ length: 6 }, () => to.deliver());
    const closed = Promise.all([to.close(), to.close()]);
    expect(await to.deliver()).toEqual({ kind: 'aborted' });
    await closed;
    expect(receiver.requests).toHaveLength(6);
    expect((await Promise.all(handedIn)).every(({ kind }) => kind === 'acknowledged')).toBe(true);
  });

  it('does not wait for a body that nobody wants', async () => {
    const receiver = await tcpReceiver((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf');
    });
    const to = sender(receiver.url);
    await to.deliver();
    const startedAtMs = performance.now();
    await to.close();
    expect(performance.now() - startedAtMs).toBeLessThan(1_000);
  });

  it('of a sender that was never used is at once', async () => {
    await sender('http://127.0.0.1:1/').close();
    await sender('${NONE}').close();
  });
});

async function until(met: () => boolean): Promise<void> {
  for (let waitedMs = 0; !met(); waitedMs += 5) {
    if (waitedMs > 3_000) throw new Error('Waited 3 s for a condition of the test');
    await sleep(5);
  }
}
