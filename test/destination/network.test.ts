import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { guardedConnector, type Resolve } from '../../src/destination/http/connector.ts';
import { selfSigned } from '../support/certificate.ts';
import { closeSenders, deliverTo } from './support/fixtures.ts';
import { closeReceivers, httpReceiver } from './support/receivers.ts';

afterEach(async () => {
  await closeSenders();
  await closeReceivers();
});

const publicOnly = { network: { allowPrivate: false } };
const blocked = { kind: 'refused', permanent: true, errorClass: 'blocked-address', status: null };

describe('an address', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data',
    'http://2852039166/',
    'http://0xa9.0xfe.0xa9.0xfe/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[2002:a9fe:a9fe::1]/',
    'http://[fd00:ec2::254]/',
    'http://[fe80::1]/',
    'http://100.100.100.200/',
    'http://metadata.google.internal/',
    'http://METADATA.google.internal./',
    'http://0.0.0.0/',
    'http://[::]/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
  ])('%s is never connected to', async (url) => {
    const outcome = await deliverTo(url);
    expect(outcome).toMatchObject(blocked);
    expect(outcome).toHaveProperty('message', expect.stringMatching(/^POST http:.*blocked-address: .+$/));
  });

  it.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://localhost/',
    'http://localhost./',
    'http://[::1]/',
    'http://[::ffff:7f00:1]/',
    'http://10.0.0.1/',
    'http://192.168.0.1/',
    'http://172.16.0.1/',
    'http://100.64.0.1/',
    'http://[fd12::1]/',
  ])('%s is refused where private addresses are', async (url) => {
    expect(await deliverTo(url, publicOnly)).toMatchObject(blocked);
  });

  it('that is private is fine by default', async () => {
    const receiver = await httpReceiver();
    expect((await deliverTo(receiver.url.replace('127.0.0.1', 'localhost'))).kind).toBe('acknowledged');
    expect((await deliverTo(receiver.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'))).kind).toBe(
      'acknowledged',
    );
  });
});

describe('a name', () => {
  it('is asked for once, and the connection goes to the address that was checked', async () => {
    const receiver = await httpReceiver();
    const asked: string[] = [];
    const resolve: Resolve = (hostname, done) => {
      asked.push(hostname);
      // The second answer is the attack: a name that changes between check and use.
      const address = asked.length === 1 ? '127.0.0.1' : '169.254.169.254';
      setImmediate(() => done(null, [{ address, family: 4 }]));
    };
    const socket = await connectTo('rebind.example', receiver.port, resolve, true);
    expect(socket.remoteAddress).toBe('127.0.0.1');
    expect(asked).toEqual(['rebind.example']);
    socket.destroy();
  });

  it('is refused when any of its addresses is', async () => {
    const resolve: Resolve = (_, done) =>
      setImmediate(() =>
        done(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '169.254.169.254', family: 4 },
        ]),
      );
    await expect(connectTo('mixed.example', 9, resolve, true)).rejects.toMatchObject({
      code: 'OUTBOX_ADDRESS_BLOCKED',
    });
  });

  it('is refused when it means a private address and those are', async () => {
    const resolve: Resolve = (_, done) =>
      setImmediate(() => done(null, [{ address: '::ffff:10.1.2.3', family: 6 }]));
    await expect(connectTo('inner.example', 9, resolve, false)).rejects.toMatchObject({
      code: 'OUTBOX_ADDRESS_BLOCKED',
    });
  });

  it('that does not exist is unreachable', async () => {
    const outcome = await deliverTo('http://nowhere.invalid/');
    expect(outcome).toMatchObject({ kind: 'unreachable', status: null });
    expect(outcome).toHaveProperty('errorClass', expect.stringMatching(/^dns-/));
  });
});

function connectTo(hostname: string, port: number, resolve: Resolve, allowPrivate: boolean) {
  const connect = guardedConnector({ allowPrivate, timeoutMs: 5_000, resolve });
  return new Promise<Socket>((fulfil, reject) => {
    connect({ hostname, protocol: 'http:', port: String(port) }, (error, socket) => {
      if (error !== null) reject(error);
      else fulfil(socket);
    });
  });
}

describe('a port nobody listens on', () => {
  it('is connection-refused', async () => {
    const outcome = await deliverTo('http://localhost:1/hooks?token=hunter2');
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'connection-refused', status: null });
    const { message } = outcome as { message: string };
    expect(message).toMatch(/^POST http:\/\/localhost:1\/hooks connection-refused: .*ECONNREFUSED/);
    expect(message).not.toMatch(/hunter2/);
  });
});

describe('TLS', () => {
  it('with a certificate nobody vouches for is unreachable, and nothing is sent', async () => {
    let requests = 0;
    const server = createTlsServer(selfSigned(), (_, response) => {
      requests++;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const outcome = await deliverTo(`https://127.0.0.1:${port}/`);
    server.close();
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'tls-certificate', status: null });
    expect(outcome).toHaveProperty('message', expect.stringMatching(/self-signed/));
    expect(requests).toBe(0);
  });

  it('to a server that speaks plain HTTP is unreachable', async () => {
    const receiver = await httpReceiver();
    const outcome = await deliverTo(`https://127.0.0.1:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'tls-failure' });
  });
});
