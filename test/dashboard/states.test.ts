/** The views and states that a person sees seldom: signed out, nothing there yet, nothing there, old, broken. Each is looked at by axe, at every width. */
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { onlyWithEverything } from '../support/everything.ts';
import { runCli } from '../support/index.ts';
import { openBrowser, pictures, takePicture } from '../ui/browser.ts';
import { findingsOf, looks, tooWideBy } from './looks.ts';
import { openDashboard, type Stage } from './stage.ts';

let stage: Stage;
let token: string;
beforeAll(async () => {
  // The provider is never asked: its button is all that is looked at.
  stage = await openDashboard(
    `, title: 'orders', production: true, url: 'http://127.0.0.1:1', signIn: { tokens: true, oidc: { issuer: 'http://127.0.0.1:9', clientId: outbox, clientSecret: 'env:SIGN_IN', label: Example, viewer: [all] } }`,
    { env: { SIGN_IN: 'a-secret-of-this-test-that-is-long' } },
  );
  const make = (...options: string[]) =>
    runCli(['tokens', 'make', '--json', ...options], { databaseUrl: stage.database.url });
  token = (JSON.parse((await make('ada', '--role', 'admin', '--payloads')).stdout) as { token: string })
    .token;
  await make('vera', '--expires', '90d');
});

async function open(path = '/'): Promise<Page> {
  const page = await openBrowser();
  await page.goto(`${stage.url}/#${path}`);
  return page;
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

/** Nothing that axe finds serious, and nothing to the right of the screen; with OUTBOX_SCREENSHOTS a picture, too. */
async function lookAt(page: Page, name: string): Promise<void> {
  for (const { suffix, on } of looks) {
    await on(page);
    expect(await findingsOf(page), `${name}${suffix}`).toEqual([]);
    expect(await tooWideBy(page), `${name}${suffix} is too wide`).toBeLessThanOrEqual(0);
    await takePicture(page, `${name}${suffix}`, { webp: true });
  }
}

const seldom = (context: { skip(note?: string): void }): void => {
  if (pictures === undefined) onlyWithEverything(context, 'a browser in each width');
};

test('sign-in, refused and come back from a provider too, and the tokens that were made', async (context) => {
  seldom(context);
  const page = await open('/letters');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.getByRole('link', { name: 'Sign in with Example' }).waitFor();
  await lookAt(page, 'sign-in');
  await page.getByLabel('Token').fill('obx_wrongwrongwrongwrong');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('alert').waitFor();
  await lookAt(page, 'sign-in-refused');
  await page.goto(`${stage.url}/#/letters?refused=no-role`);
  await page.getByText('none of your groups may use this dashboard').waitFor();
  expect(await findingsOf(page)).toEqual([]);

  await signIn(page);
  await page.goto(`${stage.url}/#/tokens`);
  await page
    .getByRole('button', { name: /^Revoke token/ })
    .first()
    .waitFor();
  await lookAt(page, 'tokens');
  await page
    .getByRole('button', { name: /^Revoke token/ })
    .first()
    .click();
  await page.getByRole('dialog').waitFor();
  await lookAt(page, 'tokens-dialog');
});

test('every view while it loads, with nothing in it, and where the server fails', async (context) => {
  seldom(context);
  const page = await open();
  await signIn(page);
  const paths = ['/', '/causes', '/letters', '/redrives', '/destinations', '/events', '/messages', '/tokens'];
  const settled = async (path: string): Promise<void> => {
    await page.goto(`${stage.url}/#${path}`);
    await page.locator('main h1, main .failed').first().waitFor();
    await expect.poll(() => page.locator('.loading').count()).toBe(0);
  };
  for (const path of paths) {
    await settled(path);
    await lookAt(page, `empty${path.replaceAll('/', '-').replace(/-$/, '')}`);
  }

  const [hold, held] = gate();
  await page.route('**/v1/**', async (route) => {
    await held;
    // The view that asked may be gone.
    await route.continue().catch(() => undefined);
  });
  for (const path of paths) {
    await page.goto(`${stage.url}/#${path}?again=${Math.random()}`);
    await page.locator('.loading').first().waitFor();
    expect(await findingsOf(page), `${path} while it loads`).toEqual([]);
  }
  await lookAt(page, 'loading');
  hold();
  await page.unrouteAll({ behavior: 'ignoreErrors' });

  await page.route(/\/v1\/(?!me|session)/, (route) =>
    route.fulfill({
      status: 503,
      contentType: 'application/problem+json',
      body: '{"detail":"PostgreSQL does not answer","hint":"temporal-outbox doctor"}',
    }),
  );
  for (const path of [...paths, '/letters/1', '/redrives/1', '/events/1', '/messages/1']) {
    await page.goto('about:blank');
    await page.goto(`${stage.url}/#${path}`);
    await page.getByText('PostgreSQL does not answer').first().waitFor();
    expect(await findingsOf(page), `${path} where the server fails`).toEqual([]);
  }
  await lookAt(page, 'failed');
});

test('what is old, paused, or unreadable, and a message that was said', async (context) => {
  seldom(context);
  await stage.park([{ type: 'order.created', key: 'axe', payload: { answer: 422 } }]);
  const page = await open('/letters');
  await signIn(page);
  await page.getByRole('region', { name: 'Letters' }).waitFor();
  await page.route('**/v1/letters**', (route) => route.abort());
  await page.getByText(/What is shown is .* old/).waitFor();
  await lookAt(page, 'stale');
  await page.unroute('**/v1/letters**');
  await page.getByText(/What is shown is/).waitFor({ state: 'detached' });

  await page.getByRole('button', { name: 'Live' }).click();
  await page.getByText('Paused: what is shown is from').waitFor();
  await lookAt(page, 'paused');
  await page.getByRole('button', { name: 'Paused' }).click();

  await page.route(/\/v1\/letters(\?|$)/, async (route) => {
    const answer = await route.fetch();
    const body = (await answer.json()) as { items: Record<string, unknown>[] };
    body.items.unshift({ ...body.items[0], id: 77_777, eventType: null });
    await route.fulfill({ response: answer, json: body });
  });
  await page.getByText('Letter 77777 cannot be shown').waitFor();
  expect(await findingsOf(page), 'unreadable').toEqual([]);
  await page.unrouteAll({ behavior: 'ignoreErrors' });

  await page.goto(`${stage.url}/#/destinations`);
  await page.getByRole('button', { name: 'Pause archive' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
  await page.locator('.said .message').waitFor();
  expect(await findingsOf(page), 'said').toEqual([]);
});

function gate(): [open: () => void, opened: Promise<void>] {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return [open, opened];
}
