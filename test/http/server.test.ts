import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { formatListen, parseListen } from '../../src/core/listen.ts';
import { startHttp, type HttpServers, type RouteGroup } from '../../src/http/server.ts';
import { atEnd } from '../support/cleanup.ts';

const anywhere = { host: '127.0.0.1', port: 0 };

async function started(...groups: readonly RouteGroup[]): Promise<HttpServers> {
  const servers = await startHttp(groups);
  atEnd(() => servers.close());
  return servers;
}

function group(name: string, listen = anywhere): RouteGroup {
  return { name, listen, register: (app) => void app.get(`/${name}`, async () => ({ name })) };
}

describe('an address to listen at', () => {
  test.each([
    ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['0.0.0.0:65535', { host: '0.0.0.0', port: 65_535 }],
  ])('%s is read, and written the same', (text, address) => {
    expect(parseListen(text)).toEqual(address);
    expect(formatListen(address)).toBe(text);
  });

  test.each([
    '',
    '9464',
    ':9464',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:80',
    'http://a:1',
    'a b:1',
    'a:1/',
  ])('%j is none', (text) => expect(parseListen(text)).toBeNull());
});

test('groups of one address share a server, others have their own, and each is found by its name', async () => {
  const first = await started(group('metrics'));
  const url = new URL(first.endpoints['metrics'] ?? '');
  await first.close();
  const listen = { host: url.hostname, port: Number(url.port) };
  const { endpoints } = await started(group('metrics', listen), group('health', listen), group('api'));
  expect(endpoints['health']).toBe(endpoints['metrics']);
  expect(endpoints['api']).not.toBe(endpoints['metrics']);
  for (const name of ['metrics', 'health', 'api'])
    expect(await (await fetch(`${endpoints[name]}/${name}`)).json()).toEqual({ name });
});

test('an address that is taken is refused by name, and nothing is left listening', async () => {
  const { endpoints } = await started(group('metrics'));
  const taken = { host: '127.0.0.1', port: Number(new URL(endpoints['metrics'] ?? '').port) };
  await expect(startHttp([group('api'), group('metrics', taken)])).rejects.toMatchObject({
    code: 'OUTBOX_LISTEN_FAILED',
    message: `cannot listen at 127.0.0.1:${taken.port}: another process listens there`,
  });
});

test('what fails inside is not shown, what is not there is said in JSON', async () => {
  const { endpoints } = await started({
    name: 'api',
    listen: anywhere,
    register: (app) =>
      void app.get('/broken', async () => {
        throw new Error('postgresql://user:secret@host');
      }),
  });
  const broken = await fetch(`${endpoints['api']}/broken`);
  expect([broken.status, await broken.text()]).toEqual([500, expect.not.stringContaining('secret')]);
  const missing = await fetch(`${endpoints['api']}/else`);
  expect([missing.status, await missing.json()]).toEqual([
    404,
    expect.objectContaining({ status: 404, code: 'OUTBOX_API_REQUEST' }),
  ]);
});

test('closing lets a request under way end, and takes no other', async () => {
  const servers = await started({
    name: 'slow',
    listen: anywhere,
    register: (app) => void app.get('/', () => sleep(300, { done: true })),
  });
  const url = servers.endpoints['slow'] ?? '';
  const answer = fetch(url);
  await sleep(100);
  const closing = servers.close();
  expect(await (await answer).json()).toEqual({ done: true });
  await closing;
  await expect(fetch(url)).rejects.toThrow();
  await servers.close();
});
