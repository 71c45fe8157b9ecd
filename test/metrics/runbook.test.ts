/** The SQL of docs/runbook.md runs, for the people it is meant for. */
import { expect, test } from 'vitest';
import { readPages } from '../docs/pages.ts';
import { createTestDatabase } from '../support/index.ts';

test('every statement of the runbook is one that PostgreSQL takes', async () => {
  const { pool } = await createTestDatabase();
  const page = (await readPages()).find(({ path }) => path === 'docs/runbook.md');
  const blocks = page?.blocks.filter(({ language }) => language === 'sql') ?? [];
  expect(blocks.length).toBeGreaterThan(3);
  for (const { text, place } of blocks) await expect(pool.query(text), place).resolves.toBeDefined();
});
