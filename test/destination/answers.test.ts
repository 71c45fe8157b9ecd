import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { closeSenders, deliverTo, sender } from './support/fixtures.ts';
import { closeReceivers, httpReceiver, saying, tcpReceiver } from './support/receivers.ts';

afterEach(async () => {
  await closeSenders();
  await closeReceivers();
});

const ok = 'HTTP/1.1 200 OK\r\n';
const quick = { timeoutMs: 200 };

describe('an answer with a 2xx', () => {
  it.each([
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['a body that is no JSON', `${ok}content-type: application/json\r\ncontent-length: 4\r\n\r\n{"a"`],
    ['a status without a reason', 'HTTP/1.1 202\r\ncontent-length: 0\r\n\r\n'],
    ['a status nobody knows', 'HTTP/1.1 299 Whatever\r\ncontent-length: 0\r\n\r\n'],
    ['204 and a body all the same', 'HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\ndone', 'end'],
    ['no length', `${ok}connection: close\r\n\r\ndone`, 'end'],
    ['103 before it', `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${ok}content-length: 0\r\n\r\n`],
    ['broken chunks', `${ok}transfer-encoding: chunked\r\n\r\nZZ\r\nnonsense`],
    ['a body cut short', `${ok}content-length: 100\r\n\r\nhalf`, 'end'],
    ['a body that stalls', `${ok}content-length: 100\r\n\r\nhalf`],
    ['64 kB of headers', `${ok}${`x-filler: ${'a'.repeat(1000)}\r\n`.repeat(64)}content-length: 0\r\n\r\n`],
    [
      'bytes that claim to be gzip',
      `${ok}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\u0000\u0001\u0002\u0003`,
    ],
  ] as const)('acknowledges: %s', async (_, bytes, then: 'stay' | 'end' = 'stay') => {
    const receiver = await saying(bytes, then);
    expect(await deliverTo(receiver.url)).toMatchObject({ kind: 'acknowledged' });
  });

  it('acknowledges without waiting for a body that stalls, and gives up its connection at the deadline', async () => {
    const receiver = await tcpReceiver((socket) => {
      socket.write(`${ok}content-length: 100\r\n\r\nhalf`);
    });
    const to = sender(receiver.url, { ...quick, concurrency: 1 });
    const first = await to.deliver();
    expect(first).toMatchObject({ kind: 'acknowledged', status: 200 });
    expect((first as { durationMs: number }).durationMs).toBeLessThan(150);
    const startedAtMs = performance.now();
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(performance.now() - startedAtMs).toBeGreaterThan(100);
    expect(receiver.connections).toBe(2);
  });

  it('acknowledges in the face of an endless body, of which little is read', async () => {
    let written = 0;
    const receiver = await tcpReceiver((socket) => {
      socket.write(`${ok}content-length: 1000000000\r\n\r\n`);
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const more = (): void => {
        while (!socket.destroyed && socket.write(chunk)) written += chunk.length;
      };
      socket.on('drain', more);
      more();
    });
    const to = sender(receiver.url, { concurrency: 1 });
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
    // The connection is given up, not read to its end, so the next message is not held up.
    const startedAtMs = performance.now();
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(performance.now() - startedAtMs).toBeLessThan(1_000);
    expect(written).toBeLessThan(32 * 1024 * 1024);
  });
});

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])('%i is not followed', async (status) => {
    const receiver = await httpReceiver((response) =>
      response.writeHead(status, { location: '/hooks' }).end(),
    );
    expect(await deliverTo(receiver.url)).toMatchObject({
      kind: 'refused',
      permanent: true,
      errorClass: `http-${status}`,
      status,
    });
    expect(receiver.requests).toHaveLength(1);
  });
});

describe('a refusal', () => {
  it('says what was answered, by class, message, status and excerpt', async () => {
    const receiver = await httpReceiver((response) => {
      response.writeHead(422, { 'content-type': 'text/html' }).end('<h1>no\u0000</h1>\n\u202e');
    });
    expect(await deliverTo(`${receiver.url}?key=hunter2`)).toEqual({
      kind: 'refused',
      permanent: true,
      errorClass: 'http-422',
      message: `POST ${receiver.url} answered 422 Unprocessable Entity`,
      status: 422,
      retryAfterMs: null,
      excerpt: '<h1>no\\u{0}</h1>\\n\\u{202e}',
      durationMs: expect.any(Number) as number,
    });
  });

  it('410 is permanent, unless the destination lists others', async () => {
    const receiver = await httpReceiver((response) => response.writeHead(410).end());
    expect(await deliverTo(receiver.url)).toMatchObject({ permanent: true, errorClass: 'http-410' });
    const { retry } = await import('./support/fixtures.ts');
    const listed = { retry: { ...retry, nonRetryableStatusCodes: [400] } };
    expect(await deliverTo(receiver.url, listed)).toMatchObject({ kind: 'refused', permanent: false });
  });

  it.each([
    [500, 'refused'],
    [409, 'refused'],
    [429, 'unreachable'],
    [503, 'unreachable'],
  ] as const)('%i is %s, with the time the receiver asks for', async (status, kind) => {
    const receiver = await httpReceiver((response) =>
      response.writeHead(status, { 'Retry-After': '7' }).end(),
    );
    expect(await deliverTo(receiver.url)).toMatchObject({ kind, status, retryAfterMs: 7_000, excerpt: null });
  });

  it.each([
    ['0', 0],
    ['10000000000', 10_000_000_000_000],
    ['Tue, 14 Nov 2023 22:13:30 GMT', 10_000],
    ['-1', null],
    ['6m5s', null],
  ])('with Retry-After %j asks for %j ms', async (value, expected) => {
    const receiver = await httpReceiver((response) =>
      response.writeHead(503, { 'retry-after': value }).end(),
    );
    const outcome = await deliverTo(receiver.url, {}, {}, { now: () => 1_700_000_000_000 });
    expect(outcome).toMatchObject({ retryAfterMs: expected });
  });

  it('keeps no more of the body than asked', async () => {
    const receiver = await httpReceiver((response) => response.writeHead(500).end('é'.repeat(5_000)));
    expect(await deliverTo(receiver.url, { responseExcerpt: 10 })).toMatchObject({ excerpt: 'é'.repeat(10) });
    expect(await deliverTo(receiver.url, { responseExcerpt: 0 })).toMatchObject({ excerpt: null });
  });

  it('does not decode a body, bomb or not', async () => {
    const bomb = gzipSync(gzipSync(Buffer.alloc(10_000_000)));
    const receiver = await httpReceiver((response) => {
      response.writeHead(500, { 'content-encoding': 'gzip, gzip' }).end(bomb);
    });
    expect(await deliverTo(receiver.url)).toMatchObject({
      status: 500,
      excerpt: '(gzip, gzip, not decoded)',
    });
  });

  it('stands when its body is endless, broken or stalls', async () => {
    const head = 'HTTP/1.1 500 No\r\n';
    const endless = await tcpReceiver((socket) => {
      socket.write(`${head}content-length: 1000000000\r\n\r\n`);
      const more = (): void => {
        while (!socket.destroyed && socket.write('y'.repeat(64 * 1024)));
      };
      socket.on('drain', more);
      more();
    });
    expect(await deliverTo(endless.url)).toMatchObject({ status: 500, excerpt: 'y'.repeat(200) });
    const broken = await saying(`${head}transfer-encoding: chunked\r\n\r\n4\r\nbody\r\nZZ\r\n`);
    expect(await deliverTo(broken.url)).toMatchObject({ status: 500, excerpt: 'body' });
    const cut = await saying(`${head}content-length: 100\r\n\r\nhalf`, 'end');
    expect(await deliverTo(cut.url)).toMatchObject({ status: 500, excerpt: 'half' });
    const stalling = await saying(`${head}content-length: 100\r\n\r\nhalf`);
    expect(await deliverTo(stalling.url, quick)).toMatchObject({ status: 500, excerpt: 'half' });
  });

  it('shows neither our credentials nor our signature, even where the receiver echoes them', async () => {
    const receiver = await httpReceiver((response, { headers }) =>
      response.writeHead(500).end(JSON.stringify(headers)),
    );
    const secret = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
    const outcome = await deliverTo(
      receiver.url,
      {
        responseExcerpt: 4096,
        headers: { 'x-api-key': 'env:KEY' },
        auth: { kind: 'basic', username: 'us', password: 'env:PASSWORD' },
        signing: { scheme: 'standard-webhooks', secrets: [secret] },
      },
      {},
      { env: { KEY: 'key-hunter2', PASSWORD: 'pass-hunter2' } },
    );
    const { excerpt } = outcome as { excerpt: string };
    expect(excerpt).toContain('webhook-id');
    expect(excerpt).not.toMatch(/hunter2|v1,/);
    expect(excerpt).not.toContain(Buffer.from('us:pass-hunter2').toString('base64'));
  });
});

describe('what is no usable answer', () => {
  it.each([
    ['not HTTP at all', '220 mail.example ESMTP\r\n', 'stay', 'invalid-response'],
    ['two lengths', `${ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab`, 'stay', 'invalid-response'],
    [
      'length and chunks at once',
      `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      'stay',
      'invalid-response',
    ],
    ['a negative length', `${ok}content-length: -1\r\n\r\n`, 'stay', 'invalid-response'],
    ['NUL in a header', `${ok}x: \u0000\r\n\r\n`, 'stay', 'invalid-response'],
    [
      'an upgrade nobody asked for',
      'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
      'stay',
      'invalid-response',
    ],
    // A known limit of undici: it takes 100 for an error unless asked for.
    ['100 that nobody asked for', `HTTP/1.1 100 Continue\r\n\r\n${ok}\r\n`, 'stay', 'invalid-response'],
    [
      '200 kB of headers',
      `${ok}${`x-filler: ${'a'.repeat(1000)}\r\n`.repeat(200)}\r\n`,
      'stay',
      'response-headers-too-large',
    ],
    ['half a status line', 'HTTP/1.1 20', 'end', 'connection-reset'],
    ['half a header', `${ok}content-le`, 'end', 'connection-reset'],
    ['only 103', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'end', 'connection-reset'],
    ['nothing', '', 'end', 'connection-reset'],
  ] as const)('is unreachable: %s', async (_, bytes, then, errorClass) => {
    const receiver = await saying(bytes, then);
    const outcome = await deliverTo(receiver.url);
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass, status: null });
    expect(outcome).toHaveProperty('message', expect.stringMatching(/^[ -~]{20,500}$/));
  });

  it('is a reset', async () => {
    const receiver = await tcpReceiver((socket) => socket.resetAndDestroy());
    expect(await deliverTo(receiver.url)).toMatchObject({
      kind: 'unreachable',
      errorClass: 'connection-reset',
    });
  });
});
