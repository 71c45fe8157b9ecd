/** With OUTBOX_SCREENSHOTS=<dir>: the pictures of the docs. Without, that the views of a busy outbox are there. */
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { prepareMessage } from '../../src/halfMessages/client.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { openBrowser, pictures, takePicture } from '../ui/browser.ts';
import { findingsOf, looks } from './looks.ts';
import { openDashboard, type Stage } from './stage.ts';

let stage: Stage;
let letters: number[];
let redrive: number;
let event: string;
let half: string;

async function post(path: string, body: string): Promise<{ id: number }> {
  const headers = { 'content-type': 'application/json' };
  return (await (await fetch(`${stage.url}/v1${path}`, { method: 'POST', headers, body })).json()) as {
    id: number;
  };
}
beforeAll(async () => {
  stage = await openDashboard(", title: 'orders', production: true");
  const order = (n: number, answer: number, says: string, key?: string) => ({
    type: n % 3 === 0 ? 'order.paid' : 'order.created',
    ...(key === undefined ? {} : { key }),
    payloadText: `{"id":"o-${n}","customer":"Ada Lovelace","total":${9007199254740990n + BigInt(n)}.10,"lines":[{"sku":"tea","count":2}],"answer":${answer},"says":${JSON.stringify(says)}}`,
  });
  const detail = (text: string): string => JSON.stringify({ type: 'about:blank', detail: text });
  // The first ones: the redrive of them goes on while pictures are taken.
  const moved = await stage.park(
    Array.from({ length: 60 }, (_, n) => ({
      type: 'stock.moved',
      payload: { n, answer: 422, says: detail(`shelf ${n} is not mapped`) },
    })),
  );
  letters = await stage.park([
    order(13, 422, detail('customer 4711 is unknown here'), 'o-13'),
    ...[14, 15, 16, 17].map((n) => order(n, 422, detail(`customer ${n} is unknown here`))),
    order(18, 410, detail('this hook was moved')),
  ]);
  await stage.write([1, 2, 3].map((n) => ({ type: 'order.paid', key: 'o-13', payload: { n } })));
  await stage.write(Array.from({ length: 400 }, (_, n) => ({ type: 'stock.counted', payload: { n } })));
  await stage.park([{ type: 'stock.moved', payload: { answer: 500, says: 'out of shelves' } }]);
  const prepared = await prepareMessage(stage.database.pool, {
    producer: 'shop',
    type: 'order.created',
    key: 'o-20',
    payload: { id: 'o-20' },
  });
  half = prepared.id;
  const rows = await stage.database.rows<{ event_id: string }>(
    'select event_id from outbox.dead_letters where id = any ($1)',
    [moved],
  );
  for (const { event_id } of rows) stage.healed.add(event_id);
  redrive = (await post('/redrives', '{"type":"stock.moved","steps":[1,5],"rate":0.5}')).id;
  await post(`/redrives/${redrive}/start`, '{"reason":"shelves are mapped since 14:00"}');
  await post('/redrives', '{"cause":"000000000000"}');
  const [first] = await stage.database.rows<{ event_id: string }>(
    'select event_id from outbox.dead_letters where id = $1',
    [letters[0]],
  );
  event = first?.event_id ?? '';
  await stage.database.pool.query(
    `insert into outbox.lags select 'billing', date_trunc('minute', now()) - n * interval '1 minute', greatest(0, 40 - 3 * abs(24 - n))
     from generate_series(10, 40) n`,
  );
  // An hour in which this was not the only minute.
  await stage.database.pool.query(
    `insert into outbox.flow (destination, minute, worker, delivered, retried, parked, slowness)
     select d.name, date_trunc('minute', now()) - n * interval '1 minute', gen_random_uuid(),
            (60 + 40 * sin(n / 7.0) + 12 * cos(n * 1.7 + length(d.name)))::integer, case when n between 20 and 27 then 18 else 0 end, 0,
            array[0, 0, 20, 60, 40, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
     from generate_series(1, 59) n cross join outbox.destinations d where d.name <> 'archive'`,
  );
  await fetch(`${stage.url}/v1/destinations/archive/pause`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"reason":"moved to another cluster tonight"}',
  });
  const { items } = (await (await fetch(`${stage.url}/v1/causes`)).json()) as { items: { id: string }[] };
  await fetch(`${stage.url}/v1/causes/${items[0]?.id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: '{"note":"customers are imported at 18:00; retry after that","owner":"ada"}',
  });
});

const views: readonly (readonly [name: string, path: () => string])[] = [
  ['overview', () => '/'],
  ['causes', () => '/causes'],
  ['letters', () => '/letters'],
  ['letter', () => `/letters/${letters[0]}`],
  ['redrives', () => '/redrives'],
  ['redrive', () => `/redrives/${redrive}`],
  ['new-redrive', () => '/redrives/new?destination=billing'],
  ['destinations', () => '/destinations'],
  ['events', () => '/events'],
  ['event', () => `/events/${event}`],
  ['half-messages', () => '/messages'],
  ['half-message', () => `/messages/${half}`],
];

async function show(page: Page, path: string): Promise<void> {
  await page.goto(`${stage.url}/#${path}`);
  await page.locator('main h1').waitFor();
  await expect.poll(() => page.locator('.loading').count(), { timeout: 20_000 }).toBe(0);
}

test('every view of a busy outbox is drawn whole, and axe finds nothing serious in it', async () => {
  const page = await openBrowser();
  for (const [name, path] of views) {
    await show(page, path());
    expect(await page.locator('main').innerText(), name).not.toContain('cannot be shown');
    expect(await findingsOf(page), name).toEqual([]);
  }
});

test(
  'each view keeps what it had while the server is away, marked as old, and while it is paused; axe finds nothing there either',
  { timeout: 300_000 },
  async (context) => {
    onlyWithEverything(context, 'a browser that waits for each view');
    const page = await openBrowser();
    for (const [name, path] of views) {
      if (name === 'new-redrive') continue; // It shows nothing that could grow old.
      await show(page, path());
      const before = await page.locator('main h1').innerText();
      await page.getByRole('button', { name: 'Live' }).click();
      // A view of several parts says it of each.
      await page.getByText('Paused: what is shown is from').first().waitFor();
      expect(await findingsOf(page), `${name}, paused`).toEqual([]);
      await page.route('**/v1/**', (route) => route.abort());
      await page.getByRole('button', { name: 'Read it now' }).first().click();
      await page
        .getByText(/What is shown is .* old/)
        .first()
        .waitFor();
      expect(await page.locator('main h1').innerText()).toBe(before);
      expect(await findingsOf(page), `${name}, old`).toEqual([]);
      await page.getByRole('button', { name: 'Paused' }).click();
      await page.unroute('**/v1/**');
    }
  },
);

test('pictures, where somebody wants them', async () => {
  if (pictures === undefined) return;
  const page = await openBrowser();
  for (const look of looks) {
    await look.on(page);
    for (const [name, path] of views) {
      await show(page, path());
      await takePicture(page, `${name}${look.suffix}`, { webp: true });
    }
    await page.goto(`${stage.url}/#/letters/${letters[0]}`);
    await page.getByRole('button', { name: 'Edit' }).click();
    const editor = page.getByLabel('Payload, JSON');
    await editor.fill(
      (await editor.inputValue())
        .replace('Ada Lovelace', 'Ada King')
        .replace('9007199254741003.10', '9007199254741003.20'),
    );
    await takePicture(page, `edit${look.suffix}`, { webp: true });
    await page.keyboard.press('Escape');
  }
});
