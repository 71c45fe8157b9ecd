/** Every SQL block of README.md and docs/ runs as it stands. Those of docs/coming-from have tests that look at what they do. */
import { expect, test } from 'vitest';
import { migrateInbox } from '../../src/inbox/index.ts';
import { readPages } from '../docs/pages.ts';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { nowhere } from './fixtures.ts';

const blocks = (await readPages())
  .filter(({ path }) => !path.startsWith('docs/coming-from/'))
  .flatMap((page) => page.blocks)
  .filter(({ language }) => language === 'sql');

/** What psql sends of it: a query before \gexec, and then the statements that it answers. */
async function run(database: TestDatabase, text: string): Promise<void> {
  const [query = '', rest] = text.split('\\gexec');
  if (rest === undefined) return void (await database.pool.query(query));
  for (const row of await database.rows<Record<string, string>>(query))
    for (const statement of Object.values(row)) await database.pool.query(statement);
}

test('there are blocks to run', () => expect(blocks.length).toBeGreaterThan(12));

test.each(blocks.map((block) => [block.place, block.text] as const))('%s', async (_, text) => {
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${nowhere}' } }
    routes: [{ match: '*', to: [billing] }]
    producers: { shop: { checkBack: { handler: shop } } }`,
  );
  await migrateInbox(database.pool);
  await database.pool.query('create table orders (id text primary key, total integer)');
  // Of the reader's own: the message that is committed is the one prepared a line before.
  const prepared = /outbox\.commit_message\('([^']+)'\)/.exec(text)?.[1];
  const [first = '', ...lines] = text.split('\n');
  if (prepared !== undefined) {
    const [message] = await database.rows<{ message_id: string }>(first);
    await run(database, lines.join('\n').replace(prepared, message?.message_id ?? ''));
    expect(await database.rows('select from outbox.events')).toHaveLength(1);
    return;
  }
  // Roles are the server's: those that a page makes are taken back.
  const makesRoles = /create user/.test(text);
  await run(database, makesRoles ? `begin; ${text}; rollback` : text);
  if (/insert into outbox\.events/.test(text))
    expect(await database.rows('select from outbox.deliveries')).toHaveLength(1);
});
