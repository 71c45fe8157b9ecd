/** type: nats against a real server. */
import { beforeAll, describe, expect, test } from 'vitest';
import { Connections } from '../../src/destination/shared/connections.ts';
import { selfSigned } from '../support/certificate.ts';
import {
  addStream,
  connectTo,
  natsProgram,
  readStream,
  startNats,
  type TestNats,
} from '../support/brokers/nats.ts';
import { everything } from '../support/everything.ts';
import { requires, uniqueName } from '../support/index.ts';
import { leaveBrokersToEverything } from '../support/requires.ts';
import { explained, failure, fileWith, kindsOf, look, numbered, numberOf, open, sendMany } from './opened.ts';
import { problemsIn } from './support.ts';

let server: TestNats | undefined;

beforeAll(async () => {
  if (everything && natsProgram() !== undefined) server = await startNats();
}, 120_000);

function nats(): TestNats {
  leaveBrokersToEverything();
  requires.program('nats-server');
  return server!;
}

const lines = (subject: string, ...more: string[]): string[] => [
  `servers: ['${nats().url}']`,
  `subject: '${subject}'`,
  ...more,
];

/** A stream of its own that takes `<name>.>`. */
async function streamFor(config: { readonly max_msg_size?: number } = {}): Promise<string> {
  const name = uniqueName('S').replaceAll(/[^A-Za-z0-9]/g, '');
  await addStream(nats(), { name, subjects: [`${name}.>`], ...config });
  return name;
}

test('what is acknowledged survives a server that is killed with -9 at once, in order and under its ids', async () => {
  const { kill9, start } = nats();
  const stream = await streamFor();
  const sender = open('nats', lines(`${stream}.{type}`));
  const outcomes = await sendMany(sender, 1000);
  await kill9();
  expect(kindsOf(outcomes)).toEqual(['acknowledged']);
  expect(await sender.deliver(numbered(1000))).toMatchObject({ kind: 'unreachable' });
  await start();
  const stored = await readStream(nats(), stream);
  expect(stored.map(({ body }) => numberOf(body))).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  expect(stored[7]).toMatchObject({
    subject: `${stream}.order.created`,
    headers: { 'Nats-Msg-Id': numbered(7).eventId!, 'webhook-id': numbered(7).eventId! },
  });
  // The same sender connects again by itself.
  expect(await sender.deliver(numbered(1001))).toMatchObject({ kind: 'acknowledged', status: null });
});

test('killed in the middle of a batch, nothing acknowledged is lost, and what is sent again is there once', async () => {
  const { kill9, start } = nats();
  const stream = await streamFor();
  const sender = open('nats', lines(`${stream}.x`));
  await sender.deliver(numbered(0));
  const sending = sendMany(sender, 400, () => ({ payload: `"${'x'.repeat(20_000)}"` }), 1);
  await kill9();
  const outcomes = await sending;
  await start();
  const before = await readStream(nats(), stream);
  const ids = new Set(before.map(({ headers }) => headers['webhook-id']));
  outcomes.forEach(({ kind }, index) => {
    if (kind === 'acknowledged') expect(ids).toContain(numbered(index + 1).eventId);
    else expect(kind).toBe('unreachable');
  });
  await sendMany(sender, 400, () => ({ payload: `"${'x'.repeat(20_000)}"` }), 1);
  const after = await readStream(nats(), stream);
  expect(after).toHaveLength(401);
});

test('a repeat with the same id is acknowledged and stored once, but another destination’s copy is not taken for ours', async () => {
  const stream = await streamFor();
  const sender = open('nats', lines(`${stream}.mine`));
  for (let time = 0; time < 3; time++)
    expect(await sender.deliver(numbered(1))).toMatchObject({ kind: 'acknowledged' });
  const other = open('nats', lines(`${stream}.theirs`));
  for (let time = 0; time < 2; time++)
    expect(await other.deliver(numbered(1))).toMatchObject({ kind: 'acknowledged' });
  // An edited event is another message.
  await sender.deliver(numbered(1, { revision: 2 }));
  expect(
    (await readStream(nats(), stream)).map(({ subject, headers }) => [subject, headers['webhook-id']]),
  ).toEqual([
    [`${stream}.mine`, numbered(1).eventId],
    [`${stream}.theirs`, numbered(1).eventId],
    [`${stream}.mine`, `${numbered(1).eventId}:r2`],
  ]);
});

test('no stream, another stream, too large, a forbidden subject: refused, each in words', async () => {
  const stream = await streamFor({ max_msg_size: 2000 });
  const nowhere = uniqueName('nowhere');
  expect(await open('nats', lines(nowhere)).deliver()).toMatchObject({
    permanent: false,
    ...failure('refused', 'unknown-target', `no stream takes the subject`),
  });
  const byType = open('nats', lines('{type}'));
  expect(await byType.deliver({ type: nowhere })).toMatchObject({
    permanent: true,
    ...failure('refused', 'unroutable', `subject ${nowhere}: no stream takes`),
  });
  expect(await open('nats', lines(`${stream}.x`, 'stream: OTHER')).deliver()).toMatchObject({
    permanent: false,
    ...failure('refused', 'wrong-target', 'another stream takes the subject'),
  });
  const limited = open('nats', lines(`${stream}.x`));
  expect(await limited.deliver({ payload: `"${'x'.repeat(3000)}"` })).toMatchObject(
    failure('refused', 'too-large', 'max_msg_size of the stream'),
  );
  expect(await limited.deliver({ payload: `"${'x'.repeat(1024 * 1024)}"` })).toMatchObject(
    failure('refused', 'too-large', 'max_payload of the server allows (1048576 bytes)'),
  );
  for (const type of ['$JS.API.STREAM.PURGE.X', '_INBOX.abc', 'a..b', '', '.a', 'x'.repeat(5000)])
    expect(await byType.deliver({ type })).toMatchObject(
      failure('refused', 'invalid-message', 'its subject'),
    );
  expect(await limited.deliver({ headers: { 'x-ü': 'a' } })).toMatchObject(
    failure('refused', 'invalid-message', 'header name'),
  );
  expect(await limited.deliver({ headers: { 'x-a': 'a\r\nNats-Rollup: all' } })).toMatchObject(
    failure('refused', 'invalid-message', 'line break'),
  );
});

test('a header of an event does not command the stream, and who answers in place of a stream acknowledges nothing', async () => {
  const stream = await streamFor();
  const sender = open('nats', lines(`${stream}.x`));
  await sender.deliver(numbered(1));
  await sender.deliver(numbered(2, { headers: { 'Nats-Rollup': 'all', 'nats-msg-id': 'forged' } }));
  const stored = await readStream(nats(), stream);
  expect(stored.map(({ headers }) => headers['Nats-Msg-Id'])).toEqual([
    numbered(1).eventId,
    numbered(2).eventId,
  ]);
  const subject = uniqueName('service');
  const connection = await connectTo(nats());
  for (const answer of ['ok', '{"ok": true}', '']) {
    const service = connection.subscribe(subject, {
      callback: (_error, request) => void request.respond(answer),
    });
    await connection.flush();
    expect(await open('nats', lines(subject)).deliver()).toMatchObject(
      failure('refused', 'wrong-target', 'in place of a stream'),
    );
    service.unsubscribe();
  }
  await connection.close();
});

test('an empty payload, almost 1 MiB, non-ASCII keys, types and headers arrive as they are', async () => {
  const stream = await streamFor();
  const sender = open('nats', lines(`${stream}.{type}.{key}`, 'cloudEvents: binary'));
  const payloads = ['', `"${'x'.repeat(1024 * 1024 - 2000)}"`, '{"ä": "日本"}'];
  for (const [index, payload] of payloads.entries())
    expect(
      await sender.deliver(
        numbered(index, { payload, type: 'ördér.größe *', key: 'käy > 1', headers: { 'x-mark': 'ß日' } }),
      ),
    ).toMatchObject({ kind: 'acknowledged' });
  const stored = await readStream(nats(), stream);
  expect(stored.map(({ body }) => body)).toEqual(payloads);
  expect(stored[2]).toMatchObject({
    subject: `${stream}.ördér.größe%20%2A.käy%20%3E%201`,
    headers: {
      'x-mark': 'ß日',
      'outbox-key': 'käy > 1',
      'ce-specversion': '1.0',
      'ce-id': numbered(2).eventId!,
      'ce-type': 'ördér.größe *',
      'ce-datacontenttype': 'application/json',
      'content-type': 'application/json',
    },
  });
  await open('nats', lines(`${stream}.s`, 'cloudEvents: structured')).deliver(numbered(5));
  const structured = (await readStream(nats(), stream)).at(-1)!;
  expect(structured.headers['content-type']).toContain('application/cloudevents+json');
  expect(JSON.parse(structured.body)).toMatchObject({
    specversion: '1.0',
    id: numbered(5).eventId!,
    data: { n: 5 },
  });
});

test('fifty destinations on one server are one connection, and a stream is made only where declare says so', async () => {
  const connections = new Connections();
  const family = uniqueName('F').replaceAll(/[^A-Za-z0-9]/g, '');
  const senders = Array.from({ length: 50 }, (_, index) =>
    open('nats', lines(`${family}${index}.{type}`, `stream: ${family}${index}`, 'declare: true'), {
      connections,
    }),
  );
  expect(await look('nats', lines(`${family}7.{type}`))).toMatchObject([
    { level: 'fail', found: expect.stringContaining(`no stream takes ${family}7.>`) as string },
  ]);
  const outcomes = await Promise.all(senders.map((sender) => sender.deliver()));
  expect(kindsOf(outcomes)).toEqual(['acknowledged']);
  expect(connections.size).toBe(1);
  expect(await look('nats', lines(`${family}7.{type}`))).toMatchObject([
    { level: 'ok', found: expect.stringContaining(`stream ${family}7 (${family}7.>) is there`) as string },
  ]);
  expect(await look('nats', lines('{type}', `stream: ${family}7`))).toMatchObject([{ level: 'warn' }]);
  await Promise.all(senders.map((sender) => sender.close()));
  expect(connections.size).toBe(0);
});

test('a probe asks the server without a message, and a server that is away is unreachable', async () => {
  const { signal } = new AbortController();
  expect(await open('nats', lines('x')).check!(signal)).toMatchObject({ kind: 'acknowledged' });
  const away = open('nats', ["servers: ['nats://127.0.0.1:1']", 'subject: x']);
  expect(await away.check!(signal)).toMatchObject({ kind: 'unreachable' });
  expect(await away.deliver()).toMatchObject(failure('unreachable', 'connection-refused'));
});

describe('logins and certificates', () => {
  test('a wrong login is the destination’s fault, and no message shows the password', async () => {
    requires.program('nats-server');
    const login = { user: 'outbox', pass: 'right-pass' };
    const { port } = await startNats({
      config:
        'authorization { users: [{ user: outbox, password: "right-pass", permissions: { publish: ["a.>", "$JS.API.>"] } }] }',
      login,
    });
    const with_ = (password: string, subject: string) =>
      open(
        'nats',
        [
          `servers: ['nats://127.0.0.1:${port}']`,
          `subject: ${subject}`,
          'auth: { user: outbox, password: env:NATS_PASS }',
          'stream: A',
          'declare: true',
        ],
        {
          env: { NATS_PASS: password },
        },
      );
    const refused = await with_('wrong-pass', 'a.b').deliver();
    expect(refused).toMatchObject({
      permanent: false,
      ...failure('refused', 'access-refused', 'refuses the login'),
    });
    expect(JSON.stringify(refused)).not.toContain('wrong-pass');
    expect(await with_('right-pass', 'a.b').deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(await with_('right-pass', 'b.c').deliver()).toMatchObject({
      permanent: false,
      ...failure('refused', 'access-refused', 'may not publish there'),
    });
    const inAddress = open('nats', ['servers: [env:NATS_URL]', 'subject: a.b'], {
      env: { NATS_URL: `nats://outbox:right-pass@127.0.0.1:${port}` },
    });
    expect(await inAddress.deliver(numbered(2))).toMatchObject({ kind: 'acknowledged' });
  });

  test('TLS with certificates on both sides; without ours the server refuses', async () => {
    requires.program('nats-server');
    const [ours, theirs] = [selfSigned(), selfSigned()];
    const { port } = await startNats({
      tls: { server: theirs, clientCa: ours.cert, client: { ca: theirs.cert, ...ours } },
    });
    const env = { CA: theirs.cert, CERT: ours.cert, KEY: ours.key };
    const with_ = (tls: string) =>
      open(
        'nats',
        [`servers: ['tls://localhost:${port}']`, 'subject: t.x', 'stream: T', 'declare: true', tls],
        { env },
      );
    expect(await with_('tls: { ca: env:CA, cert: env:CERT, key: env:KEY }').deliver()).toMatchObject({
      kind: 'acknowledged',
    });
    expect(await with_('tls: { ca: env:CA }').deliver()).toMatchObject({ kind: 'unreachable' });
    expect(await with_('tls: { cert: env:CERT, key: env:KEY }').deliver()).toMatchObject(
      failure('unreachable', 'tls-certificate'),
    );
  });
});

test('its keys are checked, and explain shows what a sample event becomes', () => {
  const file = fileWith('nats', [
    "servers: ['http://nats.test']",
    "subject: 'a.*.{kee}'",
    'declare: true',
    'auth: { user: a, token: env:T }',
  ]);
  expect(problemsIn(file, [], { T: 'secret' }).map(({ key, message }) => `${key}: ${message}`)).toEqual([
    expect.stringContaining('destinations.stock.servers[0]: expected an address such as nats://host'),
    expect.stringContaining('did you mean {key}?'),
    expect.stringContaining('destinations.stock.declare: expected stream beside it'),
    expect.stringContaining('destinations.stock.auth: expected one of'),
    expect.stringContaining('destinations.stock.auth: expected user and password together'),
  ]);
  for (const [subject, problem] of [
    ['a.*', 'wildcards'],
    ['$JS.{type}', 'the server’s own'],
    ['a b', 'without spaces'],
    ['a..b', 'empty parts'],
  ])
    expect(
      problemsIn(fileWith('nats', ["servers: ['nats://nats.test']", `subject: '${subject}'`])),
    ).toMatchObject([
      { key: 'destinations.stock.subject', message: expect.stringContaining(problem!) as string },
    ]);
  const text = explained('nats', ['servers: [env:NATS_URL]', "subject: 'orders.{type}.{key}'"], {
    NATS_URL: 'nats://me:s3cr3t@nats.test:4222',
  });
  expect(text).toContain('nats://nats.test:4222, subject orders.{type}.{key}');
  expect(text).toContain('goes to subject orders.order.created.customer-42');
  expect(text).not.toContain('s3cr3t');
});
