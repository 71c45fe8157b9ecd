/** Redrives on the page, in real browsers: previewed, started, watched by two, paused, cancelled, and stopped by their canary. */
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually } from '../support/index.ts';
import { openBrowser } from '../ui/browser.ts';
import { findingsOf, isFocused, tabTo, tooWideBy } from './looks.ts';
import { ask, openDashboard, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openDashboard();
});

async function open(path: string): Promise<Page> {
  const page = await openBrowser();
  await page.goto(`${stage.url}/#${path}`);
  return page;
}

/** So many letters of one type, whose cause no other test has; healed ones are answered 204 from now on. */
async function parkMany(type: string, count: number, healed = count): Promise<string[]> {
  const ids = await stage.write(
    Array.from({ length: count }, (_, n) => ({
      type,
      payload: { n, answer: 422, says: JSON.stringify({ detail: `${type} is unknown` }) },
    })),
  );
  await eventually(
    async () => {
      const [row] = await stage.database.rows<{ n: number }>(
        `select count(*)::integer as n from outbox.dead_letters l
         join outbox.deliveries d on d.event_id = l.event_id and d.destination = l.destination and d.state = 'parked'
         where l.event_type = $1 and l.resolved_at is null`,
        [type],
      );
      expect(row?.n).toBe(count);
    },
    { timeout: 60_000 },
  );
  for (const id of ids.slice(0, healed)) stage.healed.add(id);
  return ids;
}

const openLetters = async (type: string): Promise<number> =>
  ((await ask(`${stage.url}/v1/letters?type=${type}&limit=200`)).body['items'] as unknown[]).length;

async function fill(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  for (const [label, value] of Object.entries(fields))
    await page.getByRole('textbox', { name: label }).fill(value);
}

/** From the form to the preview. */
async function preview(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  await page.getByRole('heading', { name: 'New redrive' }).waitFor();
  await fill(page, fields);
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByText(/^A preview: /).waitFor();
}

async function command(page: Page, name: string, confirm = name): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: confirm, exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

const state = (page: Page, name: string) => page.locator('h1 .badge').filter({ hasText: name });

test('from a cause: previewed, started with a canary, and seen to its end by two who look', async () => {
  await parkMany('order.together', 25);
  const page = await open('/causes');
  await page
    .locator('article.cause')
    .filter({ hasText: 'order.together is unknown' })
    .getByRole('link', { name: /^Redrive/ })
    .click();
  await preview(page, { 'Steps, the first one': '2, 8', 'Then letters a second': '200' });
  await page.getByText('A preview: 25 letters frozen, nothing sent').waitFor();
  expect(await openLetters('order.together')).toBe(25);
  const other = await open('/redrives');
  await other.getByRole('region', { name: 'Now' }).getByText('retry of 25 letters').waitFor();
  await other
    .getByRole('link', { name: /^Redrive \d+$/ })
    .first()
    .click();
  await state(other, 'previewed').waitFor();

  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByLabel(/^Reason/).fill('mapped now');
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  for (const each of [page, other]) {
    await state(each, 'done').waitFor({ timeout: 60_000 });
    expect(await each.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('25');
    await each.getByText('25 done of 25 letters').waitFor();
    await each.getByText('(mapped now)').waitFor();
  }
  expect(await openLetters('order.together')).toBe(0);
  // The report: each letter, and the whole as a file.
  await page.getByLabel('What became of it').selectOption('done');
  await expect
    .poll(() => page.getByRole('region', { name: 'Letter by letter' }).getByRole('link').count())
    .toBe(25);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Report as JSON' }).click();
  expect((await download).suggestedFilename()).toMatch(/^redrive-\d+\.json$/);
  expect(await page.getByRole('button', { name: 'Cancel', exact: true }).getAttribute('title')).toBe(
    'it is over: done',
  );
});

test('a canary that fails stops it, says why, and leaves the rest parked', async () => {
  await parkMany('order.still', 12, 0);
  const page = await open('/letters?type=order.still');
  await page.getByRole('link', { name: 'Redrive these' }).click();
  await preview(page, { 'Steps, the first one': '3, 9', 'Then letters a second': '' });
  await command(page, 'Start');
  await state(page, 'stopped').waitFor({ timeout: 60_000 });
  await page
    .getByText(/letters of step 1 failed again/)
    .first()
    .waitFor();
  const members = page.getByRole('region', { name: 'Letter by letter' });
  await expect.poll(() => members.getByRole('link').count()).toBe(3);
  await page.getByLabel('What became of it').selectOption('left');
  await expect.poll(() => members.getByRole('link').count()).toBe(9);
  await eventually(async () => expect(await openLetters('order.still')).toBe(12));
});

test('paused, nothing more goes; resumed it goes on; cancelled, the rest stays parked', async () => {
  await parkMany('order.slow', 60);
  const page = await open('/redrives/new?type=order.slow');
  await preview(page, { 'Steps, the first one': '1', 'Then letters a second': '4' });
  await command(page, 'Start');
  await state(page, 'running').waitFor({ timeout: 60_000 });
  await command(page, 'Pause');
  await state(page, 'paused').waitFor();
  const acted = async (): Promise<number> =>
    Number(await page.getByRole('progressbar').getAttribute('aria-valuenow'));
  // What was under way when the word came is let to its end.
  let before = -1;
  await expect
    .poll(async () => before === (before = await acted()), { interval: 1_200, timeout: 20_000 })
    .toBe(true);
  await command(page, 'Resume');
  await expect.poll(acted, { timeout: 20_000 }).toBeGreaterThan(before);
  await command(page, 'Cancel', 'End it');
  await state(page, 'stopped').waitFor();
  await page
    .getByText(/^cancelled by /)
    .first()
    .waitFor();
  const left = 60 - (await acted());
  expect(left).toBeGreaterThan(0);
  await eventually(async () => expect(await openLetters('order.slow')).toBe(left));
});

test('an edit of many shows before and after, its numbers whole, and sends that', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const ids = await stage.write([
    { type: 'order.large', payloadText: '{"total":9007199254740993.10,"answer":422,"currency":"DM"}' },
  ]);
  await eventually(async () => expect(await openLetters('order.large')).toBe(1));
  const page = await open('/redrives/new?type=order.large');
  await page.getByLabel('Action').selectOption('edit');
  const patch =
    '[{"op":"replace","path":"/answer","value":204},{"op":"add","path":"/cents","value":900719925474099310}]';
  await preview(page, { 'JSON Patch': patch });
  await page.getByRole('button', { name: 'Show what the edit makes of them' }).click();
  await page.locator('.diff ins').filter({ hasText: '900719925474099310' }).waitFor();
  await command(page, 'Start');
  await state(page, 'done').waitFor({ timeout: 60_000 });
  const sent =
    stage.receiver
      .of(ids[0] ?? '')
      .at(-1)
      ?.body.toString() ?? '';
  expect(sent).toContain('900719925474099310');
  expect(sent).toContain('9007199254740993.10');
});

test('the keyboard alone suffices to preview and start one', async () => {
  await parkMany('order.keys', 3);
  const page = await open('/letters?type=order.keys');
  const link = page.getByRole('link', { name: 'Redrive these' });
  await link.waitFor();
  await tabTo(page, link);
  await page.keyboard.press('Enter');
  const steps = page.getByLabel('Steps, the first one');
  await steps.waitFor();
  await tabTo(page, steps);
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('1, 2');
  await page.keyboard.press('Enter');
  const start = page.getByRole('button', { name: 'Start', exact: true });
  await start.waitFor();
  await tabTo(page, start);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(await isFocused(start)).toBe(true);
  await state(page, 'done').waitFor({ timeout: 60_000 });
});

test('no redrive view has a serious finding of axe, nor is wider than the screen', async (context) => {
  onlyWithEverything(context, 'a browser in each width');
  await parkMany('order.axe', 2, 1);
  const made = await ask(`${stage.url}/v1/redrives`, { body: '{"type":"order.axe","steps":[1]}' });
  expect(made.status).toBe(200);
  const { id } = made.body as { id: number };
  const page = await open('/redrives');
  const look = async (): Promise<void> => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(
        colorScheme === 'light' ? { width: 1280, height: 900 } : { width: 360, height: 740 },
      );
      for (const path of ['/redrives', '/redrives/new', `/redrives/${id}`, '/redrives/999999']) {
        await page.goto(`${stage.url}/#${path}`);
        await page.locator('main h1, main .failed').first().waitFor();
        await expect.poll(() => page.locator('.loading').count()).toBe(0);
        expect(await findingsOf(page), `${colorScheme} ${path}`).toEqual([]);
        expect(await tooWideBy(page), `${colorScheme} ${path} is too wide`).toBeLessThanOrEqual(0);
      }
    }
  };
  await look();
  await page.goto(`${stage.url}/#/redrives/${id}`);
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('dialog').waitFor();
  expect(await findingsOf(page)).toEqual([]);
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  await page.getByRole('progressbar').waitFor();
  await look();
});

test(
  'ten thousand go with a canary and a ramp; somebody else sees the same, and ends it; the rest goes later',
  { timeout: 300_000 },
  async (context) => {
    onlyWithEverything(context);
    await parkMany('stock.many', 10_000);
    const first = await open('/redrives/new?type=stock.many');
    await preview(first, { 'Steps, the first one': '1, 20, 500', 'Then letters a second': '400' });
    await first.getByText('A preview: 10,000 letters frozen').waitFor();
    await command(first, 'Start');
    const other = await open(new URL(first.url()).hash.slice(1));
    const acted = async (page: Page): Promise<number> =>
      Number(await page.getByRole('progressbar').getAttribute('aria-valuenow'));
    // Beyond the canary and its steps.
    await expect.poll(() => acted(other), { timeout: 60_000 }).toBeGreaterThan(521);
    await command(other, 'Cancel', 'End it');
    for (const each of [first, other]) {
      await state(each, 'stopped').waitFor();
      await each
        .getByText(/^cancelled by /)
        .first()
        .waitFor();
    }
    await expect.poll(async () => (await acted(first)) - (await acted(other))).toBe(0);
    const left = 10_000 - (await acted(other));
    expect(left).toBeGreaterThan(0);
    const stillOpen = async (): Promise<number | undefined> => {
      const [row] = await stage.database.rows<{ n: number }>(
        `select count(*)::integer as n from outbox.dead_letters where event_type = 'stock.many' and resolved_at is null`,
      );
      return row?.n;
    };
    await eventually(async () => expect(await stillOpen()).toBe(left));

    const page = await open('/redrives/new?type=stock.many');
    await preview(page, { 'Steps, the first one': '1, 20, 500', 'Then letters a second': '2000' });
    const words = left.toLocaleString('en');
    await page.getByText(`A preview: ${words} letters frozen`).waitFor();
    await command(page, 'Start');
    await state(page, 'done').waitFor({ timeout: 200_000 });
    await page.getByText(`${words} done of ${words} letters`).waitFor();
    expect(await stillOpen()).toBe(0);
  },
);
