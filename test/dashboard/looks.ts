/** What several tests look at on a page: what axe finds, whether it fits, where the keyboard is. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

/** What these touch of a browser's own; they are compiled without its types. */
declare const window: {
  readonly innerWidth: number;
  readonly document: {
    readonly activeElement: unknown;
    readonly documentElement: { readonly scrollWidth: number };
  };
};

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds serious or critical. */
export async function findingsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await (
      globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
      }
    ).axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
}

/** Pixels to the right of the screen. */
export async function tooWideBy(page: Page): Promise<number> {
  return page.evaluate(() => window.document.documentElement.scrollWidth - window.innerWidth);
}

export async function isFocused(place: Locator): Promise<boolean> {
  return place.evaluate((element) => element === window.document.activeElement);
}

/** By Tab alone. */
export async function tabTo(page: Page, place: Locator, presses = 60): Promise<void> {
  for (; presses > 0 && !(await isFocused(place)); presses--) await page.keyboard.press('Tab');
  expect(await isFocused(place)).toBe(true);
}

/** How pages are looked at. */
export const looks = [
  look('', 1180, 780, 'light'),
  look('-dark', 1180, 780, 'dark'),
  look('-narrow', 360, 740, 'light'),
];

function look(suffix: string, width: number, height: number, colorScheme: 'light' | 'dark') {
  return {
    suffix,
    on: async (page: Page): Promise<void> => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
    },
  };
}
