/** Who signed in sees, in a browser, what the role lets him do, and of the rest why not. */
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { runCli } from '../support/index.ts';
import { openBrowser } from '../ui/browser.ts';
import { openDashboard, type Stage } from './stage.ts';

let stage: Stage;
let letter: number;
beforeAll(async () => {
  stage = await openDashboard(`, title: 'orders', production: true, signIn: { tokens: true }`);
  [letter = 0] = await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
});

async function signIn(...options: string[]): Promise<Page> {
  const made = await runCli(['tokens', 'make', 'ada', '--json', ...options], {
    databaseUrl: stage.database.url,
  });
  const { token } = JSON.parse(made.stdout) as { token: string };
  const page = await openBrowser();
  await page.goto(`${stage.url}/#/letters/${letter}`);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'order.created' }).waitFor();
  return page;
}

/** Why a button may not be pressed; null: it may. */
async function whyNot(page: Page, name: string): Promise<string | null> {
  const button = page.getByRole('button', { name, exact: true });
  await button.waitFor();
  return (await button.getAttribute('aria-disabled')) === 'true' ? button.getAttribute('title') : null;
}

const commands = ['Retry', 'Edit', 'Redirect', 'Discard', 'Show the payload'];
const act = 'a viewer only looks: it takes the role operator or admin';
const payloads = 'you may not look at payloads: it takes the permission payloads';

test.each([
  ['a viewer', [], [act, act, act, act, payloads]],
  ['an operator', ['--role', 'operator'], [null, payloads, null, null, payloads]],
  ['a viewer with payloads', ['--payloads'], [act, act, act, act, null]],
  ['an operator with payloads', ['--role', 'operator', '--payloads'], [null, null, null, null, null]],
  ['an admin', ['--role', 'admin'], [null, payloads, null, null, payloads]],
] as const)('%s may press what the role allows, and reads why of the rest', async (_who, options, why) => {
  const page = await signIn(...options);
  const found: (string | null)[] = [];
  for (const name of commands) found.push(await whyNot(page, name));
  expect(found).toEqual(why);
  // Which one this is, where nobody overlooks it.
  await page.locator('header').getByText('orders').waitFor();
  await page.locator('header').getByText('production', { exact: true }).waitFor();
  const isAdmin = (options as readonly string[]).includes('admin');
  expect(await page.getByRole('link', { name: 'Tokens' }).count()).toBe(isAdmin ? 1 : 0);
  // A greyed button does nothing, however it is pressed.
  if (why[0] === null) return;
  await page.getByRole('button', { name: 'Retry', exact: true }).press('Enter');
  await page.getByRole('button', { name: 'Discard', exact: true }).click({ force: true });
  expect(await page.getByRole('dialog').count()).toBe(0);
  await page.goto(`${stage.url}/#/destinations`);
  expect(await whyNot(page, 'Pause archive')).toBe(act);
  await page.goto(`${stage.url}/#/redrives/new?destination=billing`);
  expect(await whyNot(page, 'Preview')).toBe(act);
});
