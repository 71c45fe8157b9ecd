/** What callers of the API may take of a process that also delivers. */
import pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import { connect } from '../../src/storage/connect.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  startRun,
  uniqueName,
  type Receiver,
  type SpawnedRun,
  type TestDatabase,
} from '../support/index.ts';
import { ask, startApi, token } from './support.ts';

let database: TestDatabase;
let receiver: Receiver;
beforeEach(async () => {
  database = await createTestDatabase();
  receiver = await startReceiver({ answer: 204 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', ordering: key } }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
});

const event = (key: string | null) => JSON.stringify({ type: 'order.paid', key, payload: 1 });
const post = (api: string, body: string) => ask(`${api}/v1/events`, { method: 'POST', body });

/** As somebody's business transaction that takes its time. */
async function holdKey(key: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  atEnd(() => client.end());
  await client.query('begin');
  await enqueue(client, { type: 'order.paid', key, payload: 0 });
}

/** Where the spawned process says that it serves the API. */
async function endpointOf(served: SpawnedRun): Promise<string> {
  let found: string | undefined;
  await eventually(() => {
    found = /"api":"(http:[^"]+)"/.exec(served.stdout())?.[1];
    expect(found, served.stdout() + served.stderr()).toBeDefined();
  });
  return found ?? '';
}

async function loginOf(role: string): Promise<string> {
  const user = uniqueName('user');
  await database.pool.query(`create role "${user}" login password 's3cr3t-pass' in role ${role}`);
  atEnd(() => database.pool.query(`drop role "${user}"`));
  const url = new URL(database.url);
  url.username = user;
  url.password = 's3cr3t-pass';
  return url.href;
}

test('requests that wait for a key held by an open transaction stop no delivery, and are told to come again', async () => {
  const run = await startRun({
    databaseUrl: database.url,
    env: { OUTBOX_API_TOKEN: token },
    apiListen: { host: '127.0.0.1', port: 0 },
  });
  const api = run.endpoints['api'] ?? '';
  await holdKey('a');
  const waiting = Promise.all(Array.from({ length: 30 }, () => post(api, event('a'))));
  const ids = await Promise.all(
    Array.from(
      { length: 20 },
      async () =>
        (await enqueue(database.pool, { type: 'order.free', payload: 1 }, { ownTransaction: true })).id,
    ),
  );
  await eventually(() => expect(ids.filter((id) => receiver.of(id).length === 1)).toHaveLength(ids.length));
  const answers = await waiting;
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
  expect(answers.map(({ body }) => body['detail']).join()).toContain(
    'another transaction holds what this request waits for',
  );
  expect((await post(api, event('b'))).status).toBe(201);
});

test('more requests at once than there is room for are refused with 429 and a time, the others are answered', async () => {
  const api = await startApi(database);
  await holdKey('a');
  const answers = await Promise.all(
    Array.from({ length: 160 }, async () => {
      const response = await fetch(`${api}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: event('a'),
      });
      return {
        status: response.status,
        after: response.headers.get('retry-after'),
        text: await response.text(),
      };
    }),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([429, 503]));
  expect(new Set(answers.map(({ after }) => after))).toEqual(new Set(['1']));
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(60);
  expect(answers.find(({ status }) => status === 429)?.text).toContain('requests are being answered already');
  // The room is free again.
  expect((await post(api, event('b'))).status).toBe(201);
});

test('however often its health is asked, the database is asked once a second', async () => {
  let asked = 0;
  const pool = connect(database.url);
  atEnd(() => pool.end());
  const counting = new Proxy(pool, {
    get: (target, name) => {
      if (name === 'query') asked++;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
  const api = await startApi({ pool: counting });
  const answers = await Promise.all(Array.from({ length: 200 }, () => fetch(`${api}/healthz`)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(asked).toBeLessThanOrEqual(5);
});

test('a body that is announced too large is refused before it is sent, a caller without a token before anything', async () => {
  const api = await startApi(database);
  const announce = (authorization: string) =>
    new Promise<number>((resolve, reject) => {
      const { hostname, port } = new URL(api);
      void import('node:http').then(({ request }) => {
        const sending = request(
          {
            hostname,
            port,
            path: '/v1/events',
            method: 'POST',
            headers: { authorization, 'content-type': 'application/json', 'content-length': 5_000_000 },
          },
          (response) => {
            resolve(response.statusCode ?? 0);
            sending.destroy();
          },
        );
        sending.on('error', reject);
        sending.flushHeaders();
      });
    });
  expect(await announce(`Bearer ${token}`)).toBe(413);
  expect(await announce('Bearer of bad news')).toBe(401);
});

test('api does all that it does as a member of outbox_api alone', async () => {
  const served = spawnRun({
    databaseUrl: await loginOf('outbox_api'),
    args: ['api', '--listen', '127.0.0.1:0'],
    env: { OUTBOX_API_TOKEN: token },
  });
  const api = await endpointOf(served);
  await database.pool.query(
    `insert into outbox.producers (name, config, grace, config_revision) values ('shop', '{}', '1 hour', 1)`,
  );
  expect((await post(api, event(null))).status).toBe(201);
  const prepare = async () =>
    String(
      (
        await ask(`${api}/v1/messages`, {
          method: 'POST',
          body: '{"producer": "shop", "type": "order.paid", "payload": 1}',
        })
      ).body['id'],
    );
  const [first, second] = await Promise.all([prepare(), prepare()]);
  expect((await ask(`${api}/v1/messages/${first}`)).body).toMatchObject({ state: 'prepared' });
  expect((await ask(`${api}/v1/messages/${first}/commit`, { method: 'POST' })).status).toBe(200);
  expect((await ask(`${api}/v1/messages/${second}/rollback`, { method: 'POST' })).status).toBe(200);
  expect((await fetch(`${api}/healthz`)).status).toBe(200);
});

test('run serves the API as the login that OUTBOX_API_DATABASE_URL names, and delivers as its own', async () => {
  const served = spawnRun({
    databaseUrl: await loginOf('outbox_relay'),
    args: ['run', '--api-listen', '127.0.0.1:0'],
    env: { OUTBOX_API_TOKEN: token, OUTBOX_API_DATABASE_URL: await loginOf('outbox_api') },
  });
  const api = await endpointOf(served);
  const written = await post(api, event(null));
  expect(written.status).toBe(201);
  await eventually(() => expect(receiver.of(String(written.body['id']))).toHaveLength(1));
});

test('a login that may not write is named in the problem', async () => {
  const run = await startRun({
    databaseUrl: await loginOf('outbox_relay'),
    env: { OUTBOX_API_TOKEN: token },
    apiListen: { host: '127.0.0.1', port: 0 },
  });
  const refused = await post(run.endpoints['api'] ?? '', event(null));
  expect(refused).toMatchObject({
    status: 503,
    body: { detail: expect.stringContaining('outbox_api') as string },
  });
});
