/** What a view that keeps itself fresh leaves alone, what the keyboard reaches, and what is no text. */
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { openBrowser } from '../ui/browser.ts';
import { openDashboard, type Stage } from './stage.ts';

/** What these tests touch of a browser's own; they are compiled without its types. */
declare const document: {
  readonly body: object;
  readonly activeElement: object | null;
  querySelector(of: string): Marked | null;
  querySelectorAll(of: string): Iterable<Marked>;
};
interface Marked {
  mark?: number;
  readonly textContent: string | null;
  checkVisibility(): boolean;
  matches(selector: string): boolean;
  readonly outerHTML: string;
}

let stage: Stage;
let letters: number[];
beforeAll(async () => {
  stage = await openDashboard();
  letters = await stage.park([
    ...[1, 2, 3].map((n) => ({ type: 'order.created', key: `k-${n}`, payload: { n, answer: 422 } })),
    { type: 'order.created', key: 'steady', payload: { answer: 410 } },
  ]);
});

async function open(path: string): Promise<Page> {
  const page = await openBrowser();
  await page.goto(`${stage.url}/#${path}`);
  return page;
}

/** Answers once the page has asked for `part` again, so many times, and drawn what came. */
async function again(page: Page, part: string, times = 2): Promise<void> {
  for (; times > 0; times--)
    await page.waitForResponse((response) => new URL(response.url()).pathname.startsWith(part), {
      timeout: 30_000,
    });
  await page.waitForTimeout(200);
}

test('a view that reads itself again draws nothing anew: rows, focus and what is being typed stay', async () => {
  const page = await open('/letters');
  await page.locator('tbody tr').first().waitFor();
  await page.evaluate(() => {
    for (const row of document.querySelectorAll('tbody tr')) row.mark = 1;
  });
  const find = page.getByLabel('Find', { exact: true });
  await find.fill('half a wo');
  await find.focus();
  let gone = 0;
  await page.exposeFunction('wentAway', () => gone++);
  // Not for a moment either: a row that is taken out and put back would be seen.
  await page.evaluate(`new MutationObserver((changes) => {
    for (const { removedNodes } of changes) for (const node of removedNodes) if (node.nodeType === 1) wentAway();
  }).observe(document.querySelector('main'), { childList: true, subtree: true })`);
  await again(page, '/v1/letters');
  expect(gone).toBe(0);
  expect(await find.inputValue()).toBe('half a wo');
  expect(await find.evaluate((field) => field === document.activeElement)).toBe(true);
  expect(
    await page.evaluate(() => [...document.querySelectorAll('tbody tr')].every((row) => row.mark === 1)),
  ).toBe(true);
  // What is new comes, and what was there stays where it is.
  await stage.park([{ type: 'order.later', payload: { answer: 422 } }]);
  await page.getByText('order.later').waitFor();
  expect(gone).toBe(0);
  expect(
    await page.evaluate(
      () => [...document.querySelectorAll('tbody tr')].filter((row) => row.mark === 1).length,
    ),
  ).toBe(letters.length);
});

test('an open dialog keeps what was typed into it while the view behind it changes', async () => {
  const page = await open(`/letters/${letters[3]}`);
  await page.getByRole('button', { name: 'Discard' }).click();
  const reason = page.getByLabel(/^Reason/);
  await reason.fill('the customer is go');
  await again(page, `/v1/letters/${letters[3]}`);
  expect(await reason.inputValue()).toBe('the customer is go');
  expect(await reason.evaluate((field) => field === document.activeElement)).toBe(true);
});

test('bytes are shown in hexadecimal, with what of them is text beside', async () => {
  const [letter] = await stage.park([
    {
      type: 'order.bytes',
      contentType: 'application/octet-stream',
      // What is to be answered stands in it, and bytes that are no text.
      payloadBytes: Buffer.from('{"answer":422,"x":"\u00ff\u00c0<b>"}', 'latin1'),
    },
  ]);
  const page = await open(`/letters/${letter}`);
  await page.getByRole('button', { name: 'Show the payload' }).click();
  const shown = page.getByLabel('payload in hexadecimal');
  await shown.waitFor();
  const text = await shown.innerText();
  expect(text).toContain('22 3a 22 ff c0 3c 62 3e 22 7d');
  expect(text).toContain('":"..<b>"}');
});

const reachable = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';

test.each([
  '/',
  '/causes',
  '/letters',
  '/letters/{letter}',
  '/redrives',
  '/redrives/new',
  '/destinations',
  '/events?key=steady',
  '/messages',
])('the keyboard reaches everything that can be pressed or filled in on %s', async (path) => {
  const page = await open(path.replace('{letter}', String(letters[0])));
  await page.locator('main h1').first().waitFor();
  await expect.poll(() => page.locator('.loading').count(), { timeout: 20_000 }).toBe(0);
  await page.getByRole('button', { name: 'Live' }).click();
  const count = await page.evaluate((selector) => {
    let n = 0;
    for (const each of document.querySelectorAll(selector)) if (each.checkVisibility()) each.mark = n++;
    return n;
  }, reachable);
  const visited = new Set<number>();
  for (let press = 0; press < count + 10 && visited.size < count; press++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => (document.activeElement as Marked | null)?.mark);
    if (at !== undefined) visited.add(at);
  }
  const missed = await page.evaluate(
    ([selector, seen]) =>
      [...document.querySelectorAll(selector)]
        .filter((each) => each.checkVisibility() && !seen.includes(each.mark ?? -1))
        .map((each) => each.outerHTML.slice(0, 120)),
    [reachable, [...visited]] as const,
  );
  expect(missed).toEqual([]);
  expect(count).toBeGreaterThan(8);
});
