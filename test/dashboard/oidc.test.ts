/** Signing in at an OpenID provider: a real one, certified, in this process; the dashboard behind a plain-http proxy under a path. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { atEnd } from '../support/index.ts';
import { openBrowser } from '../ui/browser.ts';
import { startProxy, type PlainProxy } from './proxy.ts';
import { ask, openDashboard, type Stage } from './stage.ts';

const secret = 'a-secret-of-this-test-that-is-long';
const groupsOf: Readonly<Record<string, readonly string[]>> = {
  vera: ['everybody'],
  olga: ['oncall'],
  petra: ['oncall', 'finance'],
  anna: ['leads', 'finance'],
  mallory: ['visitors'],
};

async function startProvider(redirectUri: string): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'outbox', client_secret: secret, redirect_uris: [redirectUri] }],
    claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
    scopes: ['openid', 'email', 'groups'],
    pkce: { required: () => true },
    cookies: { keys: ['keys of this test'] },
    findAccount: (_context: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, groups: groupsOf[id] ?? [] }),
    }),
  });
  const handle = provider.callback();
  server.on('request', (request, response) => void handle(request, response));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return issuer;
}

let stage: Stage;
let proxy: PlainProxy;
let letter: number;
beforeAll(async () => {
  proxy = await startProxy('/outbox', true);
  const issuer = await startProvider(`${proxy.url}/v1/session/oidc/callback`);
  stage = await openDashboard(
    `, url: '${proxy.url}', signIn: { tokens: false, oidc: { issuer: '${issuer}', clientId: outbox, clientSecret: 'env:SIGN_IN_SECRET', scope: openid email groups, label: Example, session: 1m, viewer: [everybody], operator: [oncall], admin: [leads], payloads: [finance] } }`,
    { env: { SIGN_IN_SECRET: secret } },
  );
  proxy.leadTo(stage.url);
  letter = (await stage.park([{ type: 'order.created', payload: { answer: 422 } }]))[0] ?? 0;
});

const at = (path: string): string => `${proxy.url}/v1${path}`;

async function signIn(name: string): Promise<Page> {
  const page = await openBrowser();
  await page.goto(`${proxy.url}/#/letters/${letter}`);
  await page.getByRole('link', { name: 'Sign in with Example' }).click();
  await page.locator('input[name=login]').fill(name);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.locator('button[type=submit]').filter({ hasText: 'Continue' }).click();
  await page.waitForURL(`${proxy.url}/**`);
  return page;
}

const cookieNamed = async (page: Page, name: string) =>
  (await page.context().cookies()).find((cookie) => cookie.name === name);

async function statusesOf(page: Page): Promise<number[]> {
  const { value = '' } = (await cookieNamed(page, 'outbox_person')) ?? {};
  const headers = { cookie: `outbox_person=${value}` };
  return [
    await ask(at('/letters'), { headers }),
    await ask(at('/redrives'), { headers, body: '{"type":"none"}' }),
    await ask(at(`/letters/${letter}/payload`), { headers, body: '{}' }),
    await ask(at('/tokens'), { headers }),
  ].map(({ status }) => status);
}

test('whoever signs in there comes back to the view, by name, with the role and permission of the groups', async () => {
  const page = await signIn('petra');
  await page.getByRole('heading', { name: 'order.created' }).waitFor();
  await page.getByText('petra@example.com').waitFor();
  expect(new URL(page.url()).hash).toBe(`#/letters/${letter}`);
  const cookie = await cookieNamed(page, 'outbox_person');
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/outbox/' });
  expect(await cookieNamed(page, 'outbox_sign_in')).toBeUndefined();
  expect(await statusesOf(page)).toEqual([200, 200, 200, 403]);
  expect(
    await stage.database.rows(`select made_by from outbox.redrives where made_by like '%@example.com'`),
  ).toEqual([{ made_by: 'petra@example.com' }]);
  // What is in the cookie is nobody's to read or change.
  const value = cookie?.value ?? '';
  expect(Buffer.from(value, 'base64url').toString('latin1')).not.toContain('petra');
  const changed = `${value.slice(0, -4)}${value.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
  expect((await ask(at('/me'), { headers: { cookie: `outbox_person=${changed}` } })).status).toBe(401);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in with Example' }).waitFor();
  expect(await cookieNamed(page, 'outbox_person')).toBeUndefined();
});

test('each role may what it may, and no more', async () => {
  expect(await statusesOf(await signIn('vera'))).toEqual([200, 403, 403, 403]);
  expect(await statusesOf(await signIn('olga'))).toEqual([200, 200, 403, 403]);
  expect(await statusesOf(await signIn('anna'))).toEqual([200, 200, 200, 200]);
});

test('whoever has no group of ours is told so, and is not let in', async () => {
  const page = await signIn('mallory');
  await page.getByText('none of your groups may use this dashboard').waitFor();
  expect(await cookieNamed(page, 'outbox_person')).toBeUndefined();
});

test('a way back that nobody began here, was changed, or comes twice lets nobody in', async () => {
  const back = async (search: string, cookie = '') => {
    const response = await fetch(at(`/session/oidc/callback${search}`), {
      redirect: 'manual',
      headers: { cookie },
    });
    expect(response.headers.getSetCookie().join()).not.toMatch(/outbox_person=./);
    return new URL(response.headers.get('location') ?? '', proxy.url).hash;
  };
  expect(await back('?code=x&state=y')).toBe('#/?refused=stale');
  const begun = await fetch(at('/session/oidc?view=//evil.test'), { redirect: 'manual' });
  const [cookie = ''] = (begun.headers.getSetCookie()[0] ?? '').split(';');
  const to = new URL(begun.headers.get('location') ?? '');
  expect(Object.fromEntries(to.searchParams)).toMatchObject({
    response_type: 'code',
    code_challenge_method: 'S256',
    state: expect.stringMatching(/.{20}/) as unknown,
    nonce: expect.stringMatching(/.{20}/) as unknown,
  });
  expect(await back('?code=x&state=another', cookie)).toBe('#/?refused=stale');
  const state = to.searchParams.get('state') ?? '';
  const iss = encodeURIComponent(to.origin);
  expect(await back(`?code=wrong&state=${state}&iss=${iss}`, cookie)).toMatch(/refused=(provider|denied)/);
  expect(await back(`?error=access_denied&state=${state}&iss=${iss}`, cookie)).toBe('#/?refused=denied');
});
