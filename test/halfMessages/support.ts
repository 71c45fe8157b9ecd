/** A database with one producer and one route, for tests of half messages. */
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';

export const nowhere = 'http://127.0.0.1:9/';

export interface StageOptions {
  /** Where events go; nowhere unless given. */
  readonly receiver?: string;
  /** Lines of `producers.shop.checkBack`; default a URL where nobody listens. */
  readonly checkBack?: string;
}

export async function databaseWithProducer(options: StageOptions = {}): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await configure(database, options);
  return database;
}

export async function configure(
  database: Pick<TestDatabase, 'pool' | 'name'>,
  { receiver, checkBack }: StageOptions,
): Promise<void> {
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver ?? nowhere}' }
    routes: [{ match: '*', to: [billing] }]
    producers:
      shop: { checkBack: { ${checkBack ?? `url: '${nowhere}'`} } }`,
  );
}

export async function statesOf(database: TestDatabase): Promise<Record<string, number>> {
  const rows = await database.rows<{ state: string; n: number }>(
    'select state, count(*)::int as n from outbox.prepared_messages group by state',
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}
