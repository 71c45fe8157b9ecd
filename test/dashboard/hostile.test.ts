/** Some hundreds of requests that nobody of good will sends: they change nothing, end nothing, and are told nothing of the inside. */
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { endpoints } from '../../src/dashboard/endpoints.ts';
import { eventually } from '../support/index.ts';
import { ask, openDashboard, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openDashboard();
  await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
});

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/** Paths as they stand: `fetch` would put them in order. */
function send({ method, path, headers = {}, body }: Sent): Promise<{ status: number; text: string }> {
  const { port } = new URL(stage.url);
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (some: string) => (text += some));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    // What is refused before its body is read may be cut off while it is sent.
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET'
        ? resolve({ status: 413, text: '' })
        : reject(error),
    );
    outgoing.end(body);
  });
}

const json = { 'content-type': 'application/json' };
const ids = [
  '0',
  '-1',
  '1e9',
  '9'.repeat(15),
  '9'.repeat(400),
  '%00',
  '..%2f..',
  "1'--",
  '{}',
  '__proto__',
  '%F0%9F%98%80',
];
const queries = [
  'cursor=-1',
  'cursor=x',
  'limit=0',
  'limit=999999',
  'limit=1&limit=2',
  'status=everything',
  '__proto__=1',
  'sort=payload',
  'type=%00',
  'constructor=x',
  `type=${'x'.repeat(3000)}`,
];
const bodies: readonly (readonly [body: string | Buffer, headers: Record<string, string>])[] = [
  ['', json],
  ['{', json],
  ['[]', json],
  ['null', json],
  ['"x"', json],
  ['{"__proto__":{"reason":"x"}}', json],
  ['{"constructor":{"prototype":{"role":"admin"}}}', json],
  ['{"reason":1}', json],
  [`{"reason":"${'x'.repeat(2000)}"}`, json],
  ['{"reason":"\\u0000"}', json],
  ['{"reason":"\\ud800"}', json],
  ['{"unknown":true}', json],
  [`{"reason":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, json],
  [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), json],
  ['reason=x', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['{}', { 'content-type': 'text/plain' }],
  ['{}', { 'content-type': 'application/json; charset=utf-7' }],
  ['{"reason":"x"}', { ...json, origin: 'https://evil.test' }],
  ['{"reason":"x"}', { ...json, 'sec-fetch-site': 'cross-site' }],
  ['{"reason":"x"}', { ...json, host: 'evil.test' }],
  ['x'.repeat(3 * 1024 * 1024), json],
];

function hostile(): Sent[] {
  const sent: Sent[] = [];
  for (const { method, path, body } of endpoints) {
    const at = `/v1${path
      .replace(/\{(letter|token|redrive)\}/, '1')
      .replace('{cause}', '0123456789ab')
      .replace(/\{(event|message)\}/, '0'.repeat(8) + '-0000-7000-8000-000000000000')
      .replace('{destination}', 'billing')}`;
    if (path.includes('{'))
      for (const id of ids)
        sent.push({
          method,
          path: `/v1${path.replace(/\{\w+\}/, id)}`,
          headers: json,
          ...(body === undefined ? {} : { body: '{}' }),
        });
    if (method === 'GET') for (const query of queries) sent.push({ method, path: `${at}?${query}` });
    else for (const [text, headers] of bodies) sent.push({ method, path: at, headers, body: text });
    for (const other of ['PUT', 'DELETE', 'OPTIONS', 'TRACE']) sent.push({ method: other, path: at });
  }
  const paths = [
    '/../../etc/passwd',
    '/..%2f..%2fetc/passwd',
    '/%00',
    '/%zz',
    '//evil.test/',
    '/app.js/../../package.json',
    '/v1',
    '/v1//letters',
    '/V1/me',
    '/v1/me%00',
    `/${'a'.repeat(8000)}`,
    '/v1/session',
  ];
  return [...sent, ...paths.map((path) => ({ method: 'GET', path }))];
}

/** What would tell of the inside. */
const inside =
  /\bat .+:\d+:\d+|node_modules|\/src\/|postgres(ql)?:\/\/|password|select .+ from|PostgresError/i;

async function everything(): Promise<unknown> {
  return stage.database.rows(
    `select (select count(*) from outbox.audit where action <> 'look') as audit, (select count(*) from outbox.dead_letters) as letters,
            (select count(*) from outbox.dead_letters where resolved_at is null) as open, (select count(*) from outbox.revisions) as revisions,
            (select count(*) from outbox.destinations where paused_at is not null) as paused, (select count(*) from outbox.tokens) as tokens,
            (select jsonb_agg(to_jsonb(c) - 'noticed_at') from outbox.causes c) as causes, (select count(*) from outbox.events) as events`,
  );
}

test('hundreds of them change nothing, end nothing, and show no stack and no secret', async () => {
  const before = await everything();
  const all = hostile().filter(
    // What is well-formed there and does something: not hostile at all.
    ({ method, path, body, headers }) =>
      !(
        method === 'POST' &&
        body === '{}' &&
        headers?.['content-type'] === 'application/json' &&
        /\/(pause|resume|probe|retry|revoke|commit|rollback|check|payload)$/.test(path) &&
        !ids.some((id) => path.includes(`/${id}/`))
      ),
  );
  expect(all.length).toBeGreaterThan(300);
  const strange: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let one = all[next++]; one !== undefined; one = all[next++]) {
      let { status, text } = await send(one);
      // What the rate limit alone refuses has not been tried yet.
      for (; status === 429; { status, text } = await send(one)) await sleep(100);
      const isKnown = (status >= 400 && status < 500) || (status === 200 && one.method === 'GET');
      if (!isKnown || inside.test(text.replaceAll('/v1/', '')))
        strange.push([
          one.method,
          one.path.slice(0, 200),
          String(one.body).slice(0, 60),
          status,
          text.slice(0, 200),
        ]);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  expect(strange).toEqual([]);
  expect(await everything()).toEqual(before);
  await answered('/v1/me');
});

/** Some of the hundreds were too many at once: in a moment others are taken again. */
async function answered(path: string): Promise<void> {
  await eventually(async () => expect((await ask(`${stage.url}${path}`)).status).toBe(200));
}

test('a request that never comes to its end holds nobody up', async () => {
  const { port } = new URL(stage.url);
  const sockets = Array.from({ length: 20 }, () => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      'POST /v1/letters/1/retry HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    );
    return socket;
  });
  await answered('/v1/letters');
  for (const socket of sockets) socket.destroy();
});
