/** Who gets in, and what each may: tokens, a proxy's JSON Web Token, and pages of other sites. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { atEnd, eventually, runCli, startRun } from '../support/index.ts';
import { openBrowser } from '../ui/browser.ts';
import { ask, openDashboard, type Stage } from './stage.ts';

const issuer = 'https://issuer.test/';
const keys = await generateKeyPair('ES256');
const strangers = await generateKeyPair('ES256');
let stage: Stage;
let letter: number;
beforeAll(async () => {
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256' };
  const server = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => server.close());
  const jwks = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  stage = await openDashboard(
    `, signIn: { jwt: { header: x-token, jwks: '${jwks}', issuer: '${issuer}', audience: outbox, viewer: [all], operator: [oncall], payloads: [finance] } }`,
  );
  letter = (await stage.park([{ type: 'order.created', payload: { answer: 422 } }]))[0] ?? 0;
});

const at = (path: string): string => `${stage.url}/v1${path}`;

async function makeToken(
  ...options: string[]
): Promise<{ id: number; token: string; bearer: Record<string, string> }> {
  const made = await runCli(['tokens', 'make', 'ada', '--json', ...options], {
    databaseUrl: stage.database.url,
  });
  const { id, token } = JSON.parse(made.stdout) as { id: number; token: string };
  return { id, token, bearer: { authorization: `Bearer ${token}` } };
}

test('without a token nobody is let in, and nothing is told', async () => {
  for (const path of ['/me', '/overview', '/letters', `/letters/${letter}`, '/tokens']) {
    const { status, body } = await ask(at(path));
    expect([path, status, body['code']]).toEqual([path, 401, 'OUTBOX_API_REQUEST']);
  }
  expect(
    (await ask(at('/me'), { headers: { authorization: 'Bearer obx_wrongwrongwrongwrong' } })).status,
  ).toBe(401);
});

test('a viewer looks, an operator acts, an admin sees tokens, and payloads are a permission of their own', async () => {
  const viewer = await makeToken();
  const operator = await makeToken('--role', 'operator');
  const admin = await makeToken('--role', 'admin', '--payloads');
  const statuses = async ({ bearer }: { bearer: Record<string, string> }) =>
    [
      await ask(at('/letters'), { headers: bearer }),
      await ask(at('/destinations/stock/resume'), { body: '{}', headers: bearer }),
      await ask(at(`/letters/${letter}/payload`), { body: '{}', headers: bearer }),
      await ask(at('/tokens'), { headers: bearer }),
    ].map(({ status }) => status);
  expect(await statuses(viewer)).toEqual([200, 403, 403, 403]);
  // 409: it is not paused.
  expect(await statuses(operator)).toEqual([200, 409, 403, 403]);
  expect(await statuses(admin)).toEqual([200, 409, 200, 200]);
  const listed = await ask(at('/tokens'), { headers: admin.bearer });
  expect(listed.text).not.toContain(admin.token);
  const rows = await stage.database.rows<{ digest: Buffer }>('select * from outbox.tokens');
  expect(JSON.stringify(rows)).not.toContain(admin.token);
  expect(await stage.database.rows(`select actor from outbox.audit where action = 'look'`)).toEqual([
    { actor: 'ada' },
  ]);
});

test('a revoked token is out within seconds, and so is one whose time is over', async () => {
  const { id, bearer } = await makeToken();
  const short = await makeToken('--expires', '1s');
  expect((await ask(at('/me'), { headers: bearer })).status).toBe(200);
  const revoked = await runCli(['tokens', 'revoke', String(id)], { databaseUrl: stage.database.url });
  expect(revoked.code).toBe(0);
  await eventually(async () => expect((await ask(at('/me'), { headers: bearer })).status).toBe(401));
  await eventually(async () => expect((await ask(at('/me'), { headers: short.bearer })).status).toBe(401));
});

test('a JSON Web Token of the issuer lets in by its groups; any other does not', async () => {
  const sign = (
    claims: Record<string, unknown>,
    { privateKey } = keys,
    audience = 'outbox',
    expires = '5m',
  ) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime(expires)
      .sign(privateKey);
  const get = async (token: string) => ask(at('/me'), { headers: { 'x-token': token } });
  const good = await get(await sign({ email: 'grace@example.com', groups: ['oncall', 'finance'] }));
  expect(good.body).toMatchObject({ name: 'grace@example.com', role: 'operator', payloads: true, by: 'jwt' });
  const claims = { email: 'x@example.com', groups: ['all'] };
  expect((await get(await sign(claims))).body).toMatchObject({ role: 'viewer', payloads: false });
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  const unsigned = `${none}.${(await sign(claims)).split('.')[1]}.`;
  for (const token of [
    await sign({ ...claims, groups: ['others'] }),
    await sign(claims, strangers),
    await sign(claims, keys, 'another'),
    await sign(claims, keys, 'outbox', '-1h'),
    unsigned,
  ])
    expect((await get(token)).status).toBe(401);
});

test('a browser signs in with a token, keeps it where no script reads it, and signs out', async () => {
  const { token } = await makeToken('--role', 'operator');
  const page = await openBrowser();
  await page.goto(`${stage.url}/#/letters/${letter}`);
  await page.getByLabel('Token').fill('obx_wrongwrongwrongwrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('this token is not known').waitFor();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'order.created' }).waitFor();
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: 'outbox_session', httpOnly: true, sameSite: 'Strict' });
  const show = page.getByRole('button', { name: 'Show the payload' });
  expect(await show.getAttribute('aria-disabled')).toBe('true');
  await page.getByText('it takes the permission payloads').first().waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Token').waitFor();
});

test('a page of another site may not send, nor read; a foreign host name is not answered without sign-in', async () => {
  const { bearer } = await makeToken('--role', 'operator');
  const send = async (headers: Record<string, string>) =>
    (await ask(at('/destinations/stock/resume'), { body: '{}', headers: { ...bearer, ...headers } })).status;
  expect(await send({ origin: 'https://evil.test' })).toBe(403);
  expect(await send({ origin: 'null' })).toBe(403);
  expect(await send({ 'sec-fetch-site': 'cross-site' })).toBe(403);
  expect(await send({ 'sec-fetch-site': 'same-site' })).toBe(403);
  expect(await send({ origin: stage.url, 'sec-fetch-site': 'same-origin' })).toBe(409);
  expect(await send({ 'content-type': 'text/plain' })).toBe(415);
  const open = await openDashboard();
  const statusFor = (host: string) =>
    new Promise<number>((resolve, reject) => {
      const { port } = new URL(open.url);
      request({ host: '127.0.0.1', port, path: '/v1/me', headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  expect(await statusFor('evil.test')).toBe(403);
  expect(await statusFor('localhost')).toBe(200);
});

test('beyond this machine it is not served without sign-in', async () => {
  const { database } = await openDashboard();
  const listen = { host: '0.0.0.0', port: 0 };
  await expect(startRun({ databaseUrl: database.url, dashboardListen: listen })).rejects.toMatchObject({
    code: 'OUTBOX_DASHBOARD_UNPROTECTED',
  });
});
