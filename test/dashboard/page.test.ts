/** The dashboard as a person uses it, in a real browser. With OUTBOX_SCREENSHOTS=<dir> the last test takes the pictures of the docs. */
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { openBrowser } from '../ui/browser.ts';
import { findingsOf, isFocused, tabTo, tooWideBy } from './looks.ts';
import { openDashboard, type Stage } from './stage.ts';

/** What these tests touch of a browser's own; they are compiled without its types. */
declare const window: {
  dispatchEvent(event: Event): void;
  readonly document: { dispatchEvent(event: Event): void };
};

let stage: Stage;
beforeAll(async () => {
  stage = await openDashboard();
});

const big = '12345678901234567890.10';

async function open(path = '/'): Promise<Page> {
  const page = await openBrowser();
  await page.goto(`${stage.url}/#${path}`);
  return page;
}

const said = (page: Page) => page.locator('.said .message');

test('a person finds a letter, retries it with a reason, and it arrives', async () => {
  const [letter] = await stage.park([{ type: 'order.created', key: 'o-1', payload: { answer: 422 } }]);
  const page = await open('/letters');
  await page.getByLabel('Find', { exact: true }).fill(String(letter));
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByRole('heading', { name: 'order.created' }).waitFor();
  const eventId = (await page.getByRole('definition').locator('a[href*="/events/"]').innerText()).trim();
  stage.healed.add(eventId);
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.getByLabel(/^Reason/).fill('billing was repaired');
  await page.getByRole('dialog').getByRole('button', { name: 'Retry' }).click();
  await said(page).filter({ hasText: 'sent again' }).waitFor();
  await eventually(() => expect(stage.receiver.of(eventId)).toHaveLength(2));
  await page.getByText('(billing was repaired)').waitFor();
  expect(await page.getByRole('button', { name: 'Retry' }).getAttribute('aria-disabled')).toBe('true');
  await page.getByText('it was resolved: retry').first().waitFor();
});

test('an edit shows what changes to the last digit, and sends just that', async () => {
  const [letter] = await stage.park([
    {
      type: 'order.created',
      payloadText: `{"id":9007199254740993,"total":${big},"answer":422,"__proto__":{"x":1}}`,
    },
  ]);
  const page = await open(`/letters/${letter}`);
  await page.getByRole('button', { name: 'Edit' }).click();
  const editor = page.getByLabel('Payload, JSON');
  const text = await editor.inputValue();
  expect(text).toContain('"id": 9007199254740993');
  expect(text).toContain(`"total": ${big}`);
  expect(text).toContain('"__proto__"');
  await editor.fill('{');
  await page.getByRole('dialog').getByText('The payload:').waitFor();
  await editor.fill(text.replace('9007199254740993', '9007199254740992').replace('422', '204'));
  expect(await page.locator('.diff del').allInnerTexts()).toEqual([
    expect.stringContaining('9007199254740993'),
    expect.stringContaining('422'),
  ]);
  expect(await page.locator('.diff ins').allInnerTexts()).toEqual([
    expect.stringContaining('9007199254740992'),
    expect.stringContaining('204'),
  ]);
  await page.getByRole('button', { name: 'Send the edited event' }).click();
  await said(page).filter({ hasText: 'edited and sent' }).waitFor();
  await eventually(() => {
    const sent =
      stage.receiver.requests
        .filter(({ id }) => id.endsWith(':r2'))
        .at(-1)
        ?.body.toString() ?? '';
    expect(sent).toContain('"id": 9007199254740992');
    expect(sent).toContain(big);
  });
});

test('what somebody else resolved meanwhile is refused on a page that was left open', async () => {
  const [letter] = await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
  const page = await open(`/letters/${letter}`);
  await page.getByRole('button', { name: 'Live' }).click();
  await page.getByRole('button', { name: 'Discard' }).click();
  await page.getByText('Say why').waitFor();
  await fetch(`${stage.url}/v1/letters/${letter}/discard`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"reason":"quicker"}',
  });
  await page.getByLabel(/^Reason/).fill('mine');
  await page.getByRole('dialog').getByRole('button', { name: 'Discard' }).click();
  await page.getByRole('dialog').getByText('it was resolved before: discard').waitFor();
});

test('a destination is paused and resumed; paused live updates ask for nothing, not on focus either', async () => {
  const page = await open('/destinations');
  await page.getByRole('button', { name: 'Pause archive' }).click();
  await page.getByLabel(/^Reason/).fill('a change over there');
  await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
  const archive = page.getByRole('article', { name: 'archive' });
  await archive.getByText('paused', { exact: true }).waitFor();
  await archive.getByText('a change over there').waitFor();
  expect(await archive.getByRole('button', { name: 'Pause archive' }).getAttribute('title')).toBe(
    'it is paused already',
  );
  await page.getByRole('button', { name: 'Resume archive' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click();
  await archive.getByText('closed', { exact: true }).waitFor();

  await page.getByRole('button', { name: 'Live' }).click();
  let asked = 0;
  page.on('request', () => asked++);
  await page.evaluate(() => {
    window.dispatchEvent(new Event('focus'));
    window.document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.waitForTimeout(2_600);
  expect(asked).toBe(0);
  await page.getByText('Paused: what is shown is from').waitFor();
});

test('foreign text is inert: markup, marks of direction and a megabyte', async () => {
  const evil = `<script>window.hit=1</script><img src=x onerror="window.hit=1">\u202e\u2066evil`;
  const [letter, large] = await stage.park([
    {
      type: `order.${evil}`,
      key: evil,
      headers: { 'x-note': evil },
      payload: { answer: 422, says: JSON.stringify({ detail: evil }), evil, link: 'javascript:alert(1)' },
    },
    {
      type: 'order.large',
      payload: { answer: 422, rows: Array.from({ length: 20_000 }, (_, n) => ({ n, text: 'x'.repeat(20) })) },
    },
  ]);
  const page = await open(`/letters/${letter}`);
  await page.getByRole('button', { name: 'Show the payload' }).click();
  await page.locator('pre.payload').waitFor();
  const text = await page.locator('main').innerText();
  expect(text).toContain('<script>window.hit=1</script>');
  expect(text).toContain('\\u{202e}');
  expect(text).not.toMatch(/[\u202e\u2066]/);
  await page.goto(`${stage.url}/#/letters`);
  await page.getByText('<script>', { exact: false }).first().waitFor();
  await page.goto(`${stage.url}/#/letters/${large}`);
  await page.getByRole('button', { name: 'Show the payload' }).click();
  await page.getByRole('button', { name: /Show all/ }).click();
  await expect
    .poll(() =>
      page
        .locator('pre.payload')
        .innerText()
        .then((shown) => shown.includes('"n": 19999')),
    )
    .toBe(true);
  expect(await page.evaluate(() => 'hit' in globalThis)).toBe(false);
  expect(await page.locator('a[href^="javascript"], main script, main img').count()).toBe(0);
});

test('one row that cannot be drawn hides nothing beside it', async () => {
  await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
  const page = await openBrowser();
  await page.route(/\/v1\/letters(\?|$)/, async (route) => {
    const answer = await route.fetch();
    const body = (await answer.json()) as { items: Record<string, unknown>[] };
    body.items.unshift({ ...body.items[0], id: 77_777, eventType: null });
    await route.fulfill({ response: answer, json: body });
  });
  await page.goto(`${stage.url}/#/letters`);
  await page.getByText('Letter 77777 cannot be shown').waitFor();
  expect(await page.getByRole('row').count()).toBeGreaterThan(1);
});

test('what is old is marked so while the server is away, and mends itself', async () => {
  const page = await open('/');
  await page.getByRole('heading', { name: 'What is stuck' }).waitFor();
  await page.route('**/v1/**', (route) => route.abort());
  await page.getByText(/What is shown is .* old: the server does not answer/).waitFor();
  await page.getByRole('heading', { name: 'What is stuck' }).waitFor();
  await page.unroute('**/v1/**');
  await page.getByText(/What is shown is/).waitFor({ state: 'detached' });
});

test('the keyboard alone suffices to resolve a letter', async () => {
  const [letter] = await stage.park([{ type: 'order.created', payload: { answer: 422 } }]);
  const page = await open(`/letters/${letter}`);
  const retry = page.getByRole('button', { name: 'Retry' });
  await retry.waitFor();
  await tabTo(page, retry);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(await isFocused(retry)).toBe(true);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await said(page).filter({ hasText: 'sent again' }).waitFor();
});

test('no view has a serious finding of axe, light, dark or narrow, and none is wider than the screen', async (context) => {
  onlyWithEverything(context, 'a browser in each width');
  const [letter] = await stage.park([{ type: 'order.created', key: 'axe', payload: { answer: 422 } }]);
  const page = await open('/');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const { eventId } = (await (await fetch(`${stage.url}/v1/letters/${letter}`)).json()) as {
    eventId: string;
  };
  const views = [
    '/',
    '/causes',
    '/letters',
    `/letters/${letter}`,
    '/destinations',
    '/events',
    '/events?key=axe',
    `/events/${eventId}`,
    '/messages',
    '/letters?type=none',
    '/letters/999999999',
    '/nowhere',
  ];
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize(
      scheme === 'light' ? { width: 1280, height: 900 } : { width: 360, height: 740 },
    );
    for (const view of views) {
      await page.goto(`${stage.url}/#${view}`);
      await page.locator('main h1, main .failed, main .empty').first().waitFor();
      await page.waitForTimeout(100);
      expect(await findingsOf(page), `${scheme} ${view}`).toEqual([]);
      expect(await tooWideBy(page), `${scheme} ${view} is too wide`).toBeLessThanOrEqual(0);
    }
  }
  await page.goto(`${stage.url}/#/letters/${letter}`);
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Payload, JSON').waitFor();
  expect(await findingsOf(page)).toEqual([]);
});
