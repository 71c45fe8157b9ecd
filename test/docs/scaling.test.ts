/** The page on scaling shows what `npm run bench -- plan` prints, and that follows the published prices. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cloudTable, machineTable, priceOf } from '../bench/plan.mjs';
import { repository } from './pages.ts';

const page = readFileSync(join(repository, 'docs', 'scaling.md'), 'utf8');

/** A table of the page, its cells as they are, whatever spaces align them. */
function tableBetween(mark: string): string[][] {
  const text = page.split(`<!-- ${mark} -->`)[1]?.split(`<!-- /${mark} -->`)[0] ?? '';
  return cellsOf(text);
}

function cellsOf(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  return lines.map((line) => line.split('|').map((cell) => cell.trim()));
}

test('what a million events take is what was measured', () => {
  expect(tableBetween('machine')).toEqual(cellsOf(machineTable()));
});

test('what Temporal Cloud asks is what the measured actions come to', () => {
  expect(tableBetween('cloud')).toEqual(cellsOf(cloudTable()));
});

test('11.25 million actions beyond those of the Business plan cost the 525 dollars of its price list, and the plan', () => {
  expect(priceOf(13.75e6, 0)).toMatchObject({ business: 525 + 500 });
  expect(priceOf(1e6, 10)).toEqual({ developer: 66, business: 510 });
  expect(priceOf(203e6, 0).business).toBeNull();
});
