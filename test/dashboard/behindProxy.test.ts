/** Under a path of a proxy that speaks plain http: one build for any path, whether the proxy takes it away or not. */
import { expect, test } from 'vitest';
import { runCli } from '../support/index.ts';
import { openBrowser } from '../ui/browser.ts';
import { startProxy } from './proxy.ts';
import { ask, openDashboard } from './stage.ts';

test.each([
  ['takes its path away', true],
  ['passes its path on', false],
])('behind one that %s the page loads, signs in, reads and sends', async (_words, strip) => {
  const proxy = await startProxy('/ops/outbox', strip);
  const stage = await openDashboard(`, url: '${proxy.url}', signIn: { tokens: true }`);
  proxy.leadTo(stage.url);
  const made = await runCli(['tokens', 'make', 'ada', '--role', 'operator', '--json'], {
    databaseUrl: stage.database.url,
  });
  const { token } = JSON.parse(made.stdout) as { token: string };
  const page = await openBrowser();
  const elsewhere: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(`${proxy.url}/`)) elsewhere.push(request.url());
  });
  await page.goto(`${proxy.url}/#/destinations`);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Pause archive' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('article', { name: 'archive' }).getByText('paused', { exact: true }).waitFor();
  await page.reload();
  await page.getByRole('article', { name: 'archive' }).waitFor();
  const [cookie] = await page.context().cookies();
  // Plain http: a cookie for https alone would never come back.
  expect(cookie).toMatchObject({ path: '/ops/outbox/', secure: false, httpOnly: true });
  expect(elsewhere).toEqual([]);
  // A name that is not ours is refused behind it, too.
  const stranger = await ask(`${proxy.url}/v1/me`, { headers: { origin: 'https://evil.test' } });
  expect(stranger.status).toBe(403);
});
