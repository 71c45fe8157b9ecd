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
  it.each([300, 301, 302, 303, 304, 305, 307, 308, 399])('%i is not followed', async (status) => {
    const receiver = await httpReceiver((response) =>
      response.writeHead(status, { location: '/moved/hooks' }).end(),
    );
    const outcome = await deliverTo(receiver.url);
    expect(outcome).toMatchObject({ kind: 'refused', permanent: true, errorClass: `http-${status}`, status });
    expect(outcome).toHaveProperty(
      'message',
      expect.stringMatching(
        new RegExp(
          `^POST .* answered ${status}.*, which points to http://127.0.0.1:${receiver.port}/moved/hooks$`,
        ),
      ),
    );
    expect(receiver.requests).toHaveLength(1);
  });

  it.each([
    ['https://new.example/hooks', ', which points to https://new.example/hooks'],
    ['//new.example/hooks', ', which points to http://new.example/hooks'],
    [
      'https://us:hunter2@new.example/hooks?token=hunter2#hunter2',
      ', which points to https://new.example/hooks?…',
    ],
    [`https://new.example/${'a'.repeat(5_000)}`, `, which points to https://new.example/${'a'.repeat(180)}…`],
    ['https://new.example/\u009b[31m', ', which points to https://new.example/%C2%9B[31m'],
    ['javascript:alert(1)', ', and its Location is not a web address but javascript:'],
    ['http://[', ', and its Location is not a URL'],
    ['', ', without saying where to (no Location)'],
  ])('to %j names that place and no secret', async (location, expected) => {
    const receiver = await saying(
      Buffer.from(`HTTP/1.1 301 Moved\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`, 'latin1'),
    );
    const outcome = (await deliverTo(receiver.url)) as { message: string };
    expect(outcome).toMatchObject({ kind: 'refused', errorClass: 'http-301' });
    expect(outcome.message.endsWith(expected), outcome.message).toBe(true);
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

describe('an interim answer that nobody asked for', () => {
  const done = `${ok}content-length: 2\r\n\r\nok`;
  it.each([
    ['100', `HTTP/1.1 100 Continue\r\n\r\n${done}`],
    ['100 with headers', `HTTP/1.1 100 Continue\r\nserver: x\r\nconnection: close\r\n\r\n${done}`],
    ['100 without a reason', `HTTP/1.1 100\r\n\r\n${done}`],
    ['100 of HTTP/1.0', `HTTP/1.0 100 Continue\r\n\r\n${done}`],
    ['100 with bare line feeds', `HTTP/1.1 100 Continue\n\n${done}`],
    ['102', `HTTP/1.1 102 Processing\r\n\r\n${done}`],
    ['103 with 8 kB of links', `HTTP/1.1 103 Early Hints\r\nlink: ${'a'.repeat(8_000)}\r\n\r\n${done}`],
    ['199', `HTTP/1.1 199 Whatever\r\n\r\n${done}`],
    ['three in a row', `${'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n'.repeat(3)}${done}`],
  ])('is skipped: %s', async (_, bytes) => {
    const receiver = await saying(bytes);
    const to = sender(receiver.url, { concurrency: 1 });
    // The connection is as good as before: the body's length was not lost.
    for (let round = 0; round < 3; round++)
      expect(await to.deliver()).toMatchObject({ kind: 'acknowledged', status: 200 });
    expect(receiver.connections).toBe(1);
  });

  it('is skipped however its bytes are cut', async () => {
    const bytes = Buffer.from(
      `HTTP/1.1 100 Continue\r\nx: y\r\n\r\nHTTP/1.1 422 No\r\ncontent-length: 4\r\n\r\nwhy?`,
    );
    for (const size of [1, 2, 7, 12, 13, 28, 30]) {
      const receiver = await tcpReceiver((socket) => {
        socket.setNoDelay(true);
        let at = 0;
        const more = (): void => {
          if (at >= bytes.length) return;
          socket.write(bytes.subarray(at, (at += size)), () => setImmediate(more));
        };
        more();
      });
      expect(await deliverTo(receiver.url)).toMatchObject({ kind: 'refused', status: 422, excerpt: 'why?' });
    }
  });

  it('in a body is a part of that body', async () => {
    const body = 'HTTP/1.1 100 Continue\r\n\r\nno';
    const receiver = await saying(`HTTP/1.1 422 No\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    expect(await deliverTo(receiver.url)).toMatchObject({
      status: 422,
      excerpt: expect.stringContaining('100 Continue') as string,
    });
  });

  it.each([
    ['and then nothing', 'stay', 'timeout'],
    ['and then the connection ends', 'end', 'connection-reset'],
  ] as const)('is no answer: %s', async (_, then, errorClass) => {
    for (const bytes of [
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
      'HTTP/1.1 100 Con',
    ]) {
      const receiver = await saying(bytes, then);
      expect(await deliverTo(receiver.url, quick)).toMatchObject({
        kind: 'unreachable',
        errorClass,
        status: null,
      });
    }
  });
});

describe('an answer that cannot be read is charged, and says so', () => {
  const preface = Buffer.from('000012040000000000000300000064', 'hex');
  it.each([
    ['not HTTP at all', '220 mail.example ESMTP\r\n'],
    ['a frame of HTTP/2', preface],
    ['an alert of TLS', Buffer.from('15030300020246', 'hex')],
    ['HTTP/2 in the status line', 'HTTP/2 200\r\n\r\n'],
    ['a status that is no number', 'HTTP/1.1 abc No\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a header without a colon', `${ok}what is this\r\n\r\n`],
    ['a space in a header name', `${ok}x y: z\r\n\r\n`],
    ['NUL in a header', `${ok}x: \u0000\r\n\r\n`],
    ['two lengths', `${ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
    ['length and chunks at once', `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a negative length', `${ok}content-length: -1\r\n\r\n`],
    ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    const receiver = await saying(bytes);
    const outcome = await deliverTo(receiver.url);
    expect(outcome).toMatchObject({
      kind: 'refused',
      permanent: false,
      errorClass: 'invalid-response',
      status: null,
    });
    expect(outcome).toHaveProperty(
      'message',
      expect.stringMatching(/^POST [!-~]+ answered, but not in HTTP that can be read/),
    );
  });

  it('200 kB of headers', async () => {
    const receiver = await saying(`${ok}${`x-filler: ${'a'.repeat(1000)}\r\n`.repeat(200)}\r\n`);
    expect(await deliverTo(receiver.url)).toMatchObject({
      kind: 'refused',
      permanent: false,
      errorClass: 'response-headers-too-large',
    });
  });

  it.each([
    ['half a status line', 'HTTP/1.1 20'],
    ['a status line alone', ok],
    ['half a header', `${ok}content-le`],
    ['half an answer after 100', `HTTP/1.1 100 Continue\r\n\r\n${ok}x`],
  ])('%s, and then the end or a reset', async (_, bytes) => {
    const charged = { kind: 'refused', permanent: false, errorClass: 'invalid-response' };
    expect(await deliverTo((await saying(bytes, 'end')).url)).toMatchObject(charged);
    const resetting = await tcpReceiver((socket) => {
      socket.write(bytes, () => setTimeout(() => socket.resetAndDestroy(), 20));
    });
    expect(await deliverTo(resetting.url)).toMatchObject(charged);
  });

  it('does not carry over to the next request', async () => {
    const receiver = await tcpReceiver((socket, _, count) => {
      if (count === 1) socket.end('garbage\r\n\r\n');
      else if (count === 2) socket.end();
      else socket.write(`${ok}content-length: 0\r\n\r\n`);
    });
    const to = sender(receiver.url, { concurrency: 1 });
    expect(await to.deliver()).toMatchObject({ errorClass: 'invalid-response' });
    expect(await to.deliver()).toMatchObject({ kind: 'unreachable', errorClass: 'connection-reset' });
    expect(await to.deliver()).toMatchObject({ kind: 'acknowledged' });
  });
});

describe('no answer is unreachable', () => {
  it('where the connection ends before a byte of it', async () => {
    const receiver = await saying('', 'end');
    expect(await deliverTo(receiver.url)).toMatchObject({
      kind: 'unreachable',
      errorClass: 'connection-reset',
      status: null,
    });
  });

  it('where it is reset', async () => {
    const receiver = await tcpReceiver((socket) => socket.resetAndDestroy());
    expect(await deliverTo(receiver.url)).toMatchObject({
      kind: 'unreachable',
      errorClass: 'connection-reset',
    });
  });
});
