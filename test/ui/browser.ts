/** A real Chromium on the real Temporal UI, and only what these tests do there. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';
import { atEnd, eventually, requires, servers, temporalClient } from '../support/index.ts';

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** One page of a fresh browser; closed when the test ends. Skips the test where there is no Chromium. */
export async function openBrowser(): Promise<Page> {
  const executablePath = requires.chromium();
  const browser = await chromium.launch({ executablePath, headless: true, args: flags });
  atEnd(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, timezoneId: 'UTC' });
  page.setDefaultTimeout(60_000);
  return page;
}

/** Opens the tab of a workflow's page that shows its current details, and answers their text once it has `said`. */
export async function openDetails(
  page: Page,
  workflowId: string,
  said = 'waiting for a person',
): Promise<string> {
  const { temporalUi, temporalNamespace } = servers();
  if (temporalUi === null) throw new Error('beside TEMPORAL_ADDRESS these tests need TEMPORAL_UI_URL');
  // A page that is opened before there is a workflow stays without one.
  const client = await temporalClient();
  await eventually(() => client.workflow.getHandle(workflowId).describe());
  await page.goto(
    `${temporalUi}/namespaces/${temporalNamespace}/workflows/${encodeURIComponent(workflowId)}`,
  );
  await page.getByRole('link', { name: 'User Metadata' }).or(page.getByText('User Metadata')).first().click();
  return detailsText(page, said);
}

/** What the page shows now; its Markdown is rendered in a frame of its own. */
async function detailsText(page: Page, said: string): Promise<string> {
  return eventually(async () => {
    const texts = await Promise.all(page.frames().map((frame) => frame.locator('body').innerText()));
    const details = texts.find((text) => text.includes(said));
    expect(details).toBeDefined();
    return details ?? '';
  });
}

/** More Actions → the entry; answers the dialog that opens. A click before the page is alive opens nothing. */
export async function chooseAction(page: Page, entry: string): Promise<Locator> {
  const item = page.getByRole('menuitem', { name: entry, exact: true });
  await expect
    .poll(
      async () => {
        if (!(await item.isVisible())) await page.getByRole('button', { name: 'More Actions' }).click();
        return item.isVisible();
      },
      { timeout: 60_000, interval: 500 },
    )
    .toBe(true);
  await item.click();
  const dialog = page.locator('dialog[open]');
  await dialog.waitFor();
  return dialog;
}

/** More Actions → Send a Signal, with the signal picked and its input filled in; not sent yet. */
export async function fillSignal(page: Page, signal: string, input?: string): Promise<Locator> {
  const dialog = await chooseAction(page, 'Send a Signal');
  await dialog.locator('input').first().locator('..').click();
  await dialog.getByRole('option', { name: new RegExp(`^${signal}\\b`) }).click();
  if (input !== undefined) {
    await dialog.locator('[contenteditable=true]').click();
    // The editor still has what was sent before.
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText(input);
  }
  return dialog;
}

/** Presses the button until the dialog is gone: the first click may only leave the editor. */
export async function confirm(page: Page, dialog: Locator, button: string): Promise<void> {
  await expect
    .poll(
      async () => {
        const open = await page.locator('dialog[open]').count();
        if (open > 0)
          await dialog
            .getByRole('button', { name: button, exact: true })
            .click({ timeout: 1_000 })
            .catch(() => undefined);
        return open;
      },
      { timeout: 60_000, interval: 500 },
    )
    .toBe(0);
}

export async function sendSignal(page: Page, signal: string, input?: string): Promise<void> {
  await confirm(page, await fillSignal(page, signal, input), 'Submit');
}

/** By their text, those of the frames that Markdown is rendered in among them. */
export async function linksOf(page: Page): Promise<Map<string, string>> {
  const all = await Promise.all(page.frames().map((frame) => frame.locator('a').all()));
  const found = await Promise.all(
    all.flat().map(async (link) => {
      const [text, href] = await Promise.all([link.innerText(), link.getAttribute('href')]);
      return [text.trim(), href ?? ''] as const;
    }),
  );
  return new Map(found);
}

/** What stands on the page, in all its frames. */
export async function texts(page: Page): Promise<string> {
  return (await Promise.all(page.frames().map((frame) => frame.locator('body').innerText()))).join('\n');
}

/** As a click on it does; the frame that has it opens another tab. */
export async function follow(page: Page, link: string): Promise<void> {
  await page.goto(new URL(link, servers().temporalUi ?? '').href);
}

/** On the page that starts a workflow, filled in. It stays, and says that it was done. */
export async function pressStart(page: Page): Promise<void> {
  const said = page.getByText('Workflow started successfully').first();
  await expect
    .poll(
      async () => {
        if (await said.isVisible()) return true;
        await page
          .getByRole('button', { name: 'Start Workflow' })
          .click({ timeout: 5_000 })
          .catch(() => undefined);
        return said.isVisible();
      },
      { timeout: 30_000, interval: 2_000 },
    )
    .toBe(true);
}

/** Start Workflow, as a person fills it in. */
export async function startByHand(
  page: Page,
  given: {
    readonly workflowId: string;
    readonly taskQueue: string;
    readonly workflowType: string;
    readonly input: string;
  },
): Promise<void> {
  const { temporalUi, temporalNamespace } = servers();
  await page.goto(`${temporalUi}/namespaces/${temporalNamespace}/workflows/start-workflow`);
  await page.getByLabel('Workflow ID').fill(given.workflowId);
  await page.getByLabel('Task Queue').fill(given.taskQueue);
  await page.getByLabel('Workflow Type').fill(given.workflowType);
  await page.locator('[contenteditable=true]').first().click();
  await page.keyboard.insertText(given.input);
  await pressStart(page);
}

/** Where pictures go that people are to look at; undefined: none are taken. */
export const pictures = process.env['OUTBOX_SCREENSHOTS'];

/** As WebP where that is said: of a page of text it is half of a PNG. */
export async function takePicture(page: Page, name: string, { webp = false } = {}): Promise<void> {
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  await page.waitForTimeout(1_000);
  const png = await page.screenshot();
  if (webp) writeFileSync(join(pictures, `${name}.webp`), await asWebp(page, png));
  else writeFileSync(join(pictures, `${name}.png`), png);
}

/** By the browser's own encoder; as text, since these files are compiled without a browser's types. */
async function asWebp(page: Page, png: Buffer): Promise<Buffer> {
  const base64 = await page.evaluate<string>(`(async () => {
    const bytes = Uint8Array.from(atob('${png.toString('base64')}'), (each) => each.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext('2d').drawImage(image, 0, 0);
    const made = await canvas.convertToBlob({ type: 'image/webp', quality: 0.85 });
    return btoa(Array.from(new Uint8Array(await made.arrayBuffer()), (each) => String.fromCharCode(each)).join(''));
  })()`);
  return Buffer.from(base64, 'base64');
}
