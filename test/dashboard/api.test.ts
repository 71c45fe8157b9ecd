/** The dashboard's API: what it tells, and that its commands are those of the command line. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from 'vitest';
import { endpoints } from '../../src/dashboard/endpoints.ts';
import { prepareMessage } from '../../src/halfMessages/client.ts';
import { eventually } from '../support/index.ts';
import { ask, openDashboard, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openDashboard();
});

const at = (path: string): string => `${stage.url}/v1${path}`;
const big = '12345678901234567890.10';

test('me says who I am on this machine, what I may, and which outbox it is', async () => {
  const { status, body } = await ask(at('/me'));
  expect(status).toBe(200);
  expect(body).toMatchObject({
    role: 'admin',
    payloads: true,
    by: 'machine',
    whyNot: { look: null, act: null, payloads: null, admin: null },
    instance: { name: stage.database.name, production: false },
  });
});

test('the overview counts what was delivered in the last hour, and names what is stuck', async () => {
  await stage.write([{ type: 'stock.counted', payload: {} }]);
  const [letter] = await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
  await eventually(async () => {
    const { body } = await ask(at('/overview'));
    const destinations = body['destinations'] as {
      destination: string;
      delivered: number[];
      p95Seconds: number;
    }[];
    const stock = destinations.find(({ destination }) => destination === 'stock');
    expect(stock?.delivered.reduce((sum, each) => sum + each, 0)).toBeGreaterThanOrEqual(1);
    expect(stock?.p95Seconds).toBeGreaterThan(0);
    expect(body['stuck']).toContainEqual(
      expect.objectContaining({
        kind: 'parked',
        more: '/letters?destination=billing',
        since: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      }),
    );
  });
  expect(letter).toBeGreaterThan(0);
});

test('letters are listed by keyset, filtered, and each tells its attempts without its payload', async () => {
  const letters = await stage.park(
    [1, 2, 3].map((n) => ({
      type: 'order.paid',
      key: `k-${n}`,
      payload: { n, answer: 410, says: '{"detail":"gone"}' },
    })),
  );
  const first = await ask(at('/letters?type=order.paid&limit=2'));
  expect((first.body['items'] as { id: number }[]).map(({ id }) => id)).toEqual([letters[2], letters[1]]);
  const rest = await ask(at(`/letters?type=order.paid&limit=2&cursor=${String(first.body['next'])}`));
  expect(rest.body).toMatchObject({ items: [{ id: letters[0] }], next: null });
  const { body, text } = await ask(at(`/letters/${letters[0]}`));
  expect(body).toMatchObject({
    destination: 'billing',
    lastStatus: 410,
    event: { key: 'k-1', payloadKind: 'json' },
    attemptHistory: [{ status: 410, excerpt: '{"detail":"gone"}' }],
  });
  expect(text).not.toContain('payloadText');
  const causes = (await ask(at('/causes'))).body['items'] as { id: string; open: number; status: number }[];
  const cause = causes.find(({ status }) => status === 410);
  expect(cause?.open).toBe(3);
  const noted = await ask(at(`/causes/${cause?.id}`), {
    method: 'PATCH',
    body: '{"note":"ask them","owner":"ada"}',
  });
  expect(noted.body).toMatchObject({ note: 'ask them', owner: 'ada' });
});

test('each look at a payload stands in the audit, and its numbers have all their digits', async () => {
  const [letter] = await stage.park([
    { type: 'order.created', payloadText: `{"answer":422,"total":${big}}` },
  ]);
  const look = await ask(at(`/letters/${letter}/payload`), { body: '{}' });
  expect(look.body['payloadText']).toBe(`{"total": ${big}, "answer": 422}`);
  expect(
    await stage.database.rows(`select action, via, message from outbox.audit where action = 'look'`),
  ).toContainEqual({
    action: 'look',
    via: 'dashboard',
    message: `payload of dead letter ${letter}`,
  });
});

test('retry, edit, redirect and discard do what dlq does, by the name of whoever asked', async () => {
  const { receiver, database, healed } = stage;
  const payload = { answer: 422 };
  const letters = await stage.park(
    ['a', 'b', 'c', 'd'].map((key) => ({ type: 'order.created', key, payload })),
  );
  const [retried, edited, redirected, discarded] = letters;
  const eventOf = async (letter: number | undefined): Promise<string> =>
    (await ask(at(`/letters/${letter}`))).body['eventId'] as string;
  const ids = await Promise.all(letters.map(eventOf));
  healed.add(ids[0] ?? '').add(ids[2] ?? '');

  expect((await ask(at(`/letters/${retried}/retry`), { body: '{"reason":"repaired"}' })).status).toBe(200);
  const done = await ask(at(`/letters/${edited}/edit`), { body: `{"payload":{"total":${big}}}` });
  expect(done.body).toMatchObject({ action: 'edit', outcome: 'done' });
  expect((await ask(at(`/letters/${redirected}/redirect`), { body: '{"to":"archive"}' })).status).toBe(200);
  expect((await ask(at(`/letters/${discarded}/discard`), { body: '{"reason":"a test"}' })).status).toBe(200);

  await eventually(() =>
    expect(
      receiver
        .of(ids[1] ?? '')
        .at(-1)
        ?.body.toString(),
    ).toBe(`{"total": ${big}}`),
  );
  await eventually(() => expect(receiver.of(ids[2] ?? '').at(-1)?.key).toBe(`archive/${ids[2]}`));
  const rows = await database.rows<{ resolution: string; resolved_by: string }>(
    'select resolution, resolved_by from outbox.dead_letters where id = any ($1) order by id',
    [letters],
  );
  expect(rows.map(({ resolution }) => resolution)).toEqual(['retry', 'edit', 'redirect', 'discard']);
  expect(new Set(rows.map(({ resolved_by }) => resolved_by))).toEqual(
    new Set([(await ask(at('/me'))).body['name']]),
  );
});

test('what was resolved meanwhile, or changed since it was looked at, is refused and says so', async () => {
  const [letter] = await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
  const stale = await ask(at(`/letters/${letter}/retry`), { body: '{}', headers: { 'if-match': '"1.9.9"' } });
  expect(stale.status).toBe(412);
  const { body } = await ask(at(`/letters/${letter}`));
  const headers = { 'if-match': body['version'] as string };
  expect((await ask(at(`/letters/${letter}/discard`), { body: '{"reason":"x"}', headers })).status).toBe(200);
  const again = await ask(at(`/letters/${letter}/discard`), { body: '{"reason":"x"}', headers });
  expect(again.status).toBe(409);
  expect(again.body['detail']).toMatch(/resolved before: discard by/);
  expect((await ask(at('/letters/999999999/retry'), { body: '{}' })).status).toBe(404);
});

test('the queue behind a letter is told, with the events in it', async () => {
  const [letter] = await stage.park([{ type: 'order.created', key: 'q', payload: { answer: 422 } }]);
  const later = await stage.write([1, 2].map((n) => ({ type: 'order.paid', key: 'q', payload: { n } })));
  const { body } = await ask(at(`/letters/${letter}`));
  expect(body['queue']).toMatchObject({ key: 'q', waiting: 2, first: later.map((eventId) => ({ eventId })) });
});

test('a destination is paused and resumed, and says why it cannot be probed', async () => {
  const destination = async (): Promise<Record<string, unknown>> =>
    ((await ask(at('/destinations'))).body['items'] as Record<string, unknown>[]).find(
      (each) => each['destination'] === 'stock',
    ) ?? {};
  const paused = await ask(at('/destinations/stock/pause'), { body: '{"reason":"a change"}' });
  expect(paused.body).toMatchObject({ action: 'pause', outcome: 'done' });
  await eventually(async () =>
    expect(await destination()).toMatchObject({ state: 'paused', reason: /a change/ }),
  );
  expect((await ask(at('/destinations/stock/resume'), { body: '{}' })).status).toBe(200);
  await eventually(async () => expect(await destination()).toMatchObject({ state: 'closed' }));
  expect(await destination()).toMatchObject({ policy: { type: 'http', attempts: [{ attempt: 1 }, {}, {}] } });
  expect((await ask(at('/destinations/nowhere/pause'), { body: '{}' })).status).toBe(404);
});

test('an event tells its whole story, and a half message is settled', async () => {
  const [id = ''] = await stage.write([{ type: 'stock.counted', payload: { n: 1 } }]);
  await eventually(async () => {
    const { body } = await ask(at(`/events/${id}`));
    expect(body).toMatchObject({ event: { type: 'stock.counted' }, deliveries: [{ state: 'delivered' }] });
  });
  const message = await prepareMessage(stage.database.pool, {
    producer: 'shop',
    type: 'order.created',
    payload: {},
  });
  const list = await ask(at('/half-messages'));
  expect(list.body['items']).toMatchObject([{ id: message.id, state: 'prepared' }]);
  expect((await ask(at(`/half-messages/${message.id}/rollback`), { body: '{}' })).body).toMatchObject({
    outcome: 'done',
  });
  expect((await ask(at(`/half-messages/${message.id}`))).body).toMatchObject({ state: 'rolled-back' });
});

test('its description names every endpoint, and no other', async () => {
  const { body } = await ask(at('/openapi.json'));
  const paths = body['paths'] as Record<string, Record<string, { operationId: string }>>;
  const described = Object.values(paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  const own = ['readSignIn', 'signIn', 'signOut', 'describe'];
  expect(described.sort()).toEqual([...endpoints.map(({ operationId }) => operationId), ...own].sort());
  expect(new Set(described).size).toBe(described.length);
});

test('events are found by key, by type and by where a delivery stands', async () => {
  const [first] = await stage.write([{ type: 'stock.found', key: 'find-me', payload: {} }]);
  await stage.park([{ type: 'order.found', key: 'find-me', payload: { answer: 422 } }]);
  const found = async (query: string): Promise<unknown> => (await ask(at(`/events?${query}`))).body;
  expect(await found('key=find-me')).toMatchObject({
    items: [{ type: 'order.found' }, { id: first }],
    next: null,
  });
  expect(await found('type=stock.f*')).toMatchObject({ items: [{ id: first }] });
  expect(await found('key=find-me&state=parked')).toMatchObject({
    items: [{ type: 'order.found', standings: [{ destination: 'billing', state: 'parked' }] }],
  });
});

test('the script of the page is at most 80 kB, gzipped, and what it is made of is no dependency', () => {
  const root = new URL('../../', import.meta.url);
  const script = readFileSync(new URL('dist/dashboard/app.js', root));
  expect(gzipSync(script).length).toBeLessThan(80_000);
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
    dependencies: object;
  };
  for (const name of ['preact', '@preact/signals', 'diff', 'esbuild', 'jose', 'axe-core'])
    expect(dependencies).not.toHaveProperty(name);
});

test('the page is served with a strict policy, compressed, and not again where it is known', async () => {
  const page = await fetch(`${stage.url}/`);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
  expect(await page.text()).not.toMatch(/style=|<script>|\son\w+=/);
  const script = await fetch(`${stage.url}/app.js`, { headers: { 'accept-encoding': 'br' } });
  expect(script.headers.get('content-encoding')).toBe('br');
  const etag = script.headers.get('etag') ?? '';
  const again = await fetch(`${stage.url}/app.js`, { headers: { 'if-none-match': etag } });
  expect(again.status).toBe(304);
});
