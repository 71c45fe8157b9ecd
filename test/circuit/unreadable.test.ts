/** A receiver that answers, and nobody can read what. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  startRun,
  type TestDatabase,
} from '../support/index.ts';

/** Says these bytes to every request; counts them. */
async function saying(bytes: string, end: boolean): Promise<{ url: string; posts: () => number }> {
  let posts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      if (!chunk.toString('latin1').startsWith('POST ')) return;
      posts++;
      socket.write(bytes);
      if (end) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, posts: () => posts };
}

async function send(url: string, count: number): Promise<{ database: TestDatabase; ids: string[] }> {
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${url}', timeout: 1s, circuit: { probeAfter: 300ms, maximumProbeInterval: 1s },
        retry: { initialInterval: 50ms, backoffCoefficient: 1, maximumAttempts: 3 } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  await startRun({ databaseUrl: database.url });
  const events = Array.from({ length: count }, (_, number) => ({
    type: 'order.created',
    payload: { number },
  }));
  return {
    database,
    ids: (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id),
  };
}

test('100 Continue before 200 is skipped: each of five events is sent once', async () => {
  const receiver = await saying(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
    false,
  );
  const { database } = await send(receiver.url, 5);
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(5));
  expect(receiver.posts()).toBe(5);
});

test.each([
  ['a status line that is none', 'HTTP/1.1 OK 200\r\n\r\n', false],
  ['a header without a colon', 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n', false],
  ['too many headers', `HTTP/1.1 200 OK\r\n${`x: ${'a'.repeat(1_000)}\r\n`.repeat(200)}\r\n`, false],
  ['half an answer', 'HTTP/1.1 200 OK\r\n', true],
  ['another protocol', '220 mail.example ESMTP\r\n', true],
  ['half a head, and then silence,', 'HTTP/1.1 200 OK\r\nx-', false],
  ['a version that is none', 'HTTP/7.3 200 OK\r\ncontent-length: 0\r\n\r\n', false],
  ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n', false],
  ['a length below zero', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n', false],
])(
  '%s is charged: each event is sent as often as its policy says, and then parked with the reason',
  async (_, bytes, end) => {
    const receiver = await saying(bytes, end);
    const { database, ids } = await send(receiver.url, 5);
    await eventually(async () => {
      const letters = await database.rows<{ reason: string; last_error_class: string; last_error: string }>(
        'select reason, last_error_class, last_error from outbox.dead_letters',
      );
      expect(letters).toHaveLength(ids.length);
      for (const letter of letters) {
        expect(letter.reason).toBe('attempts-exhausted');
        expect(letter.last_error_class).toMatch(/^(invalid-response|response-headers-too-large)$/);
        expect(letter.last_error).toContain('answered, but not in HTTP that can be read');
      }
    });
    expect(receiver.posts()).toBe(15);
    expect(await database.rows(`select 1 from outbox.circuits where state <> 'closed'`)).toEqual([]);
  },
);
