/** A database whose producers encrypt, ours running over it, and a receiver that says back what it is sent. */
import { randomBytes } from 'node:crypto';
import { temporal } from '@temporalio/proto';
import { expect } from 'vitest';
import { encryptionKeys, type KeyProvider } from '../../src/index.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  temporalClient,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';

export interface Stage {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
  /** KEY_1 and KEY_2, for processes that send. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the producer, who has both. */
  keys(current: 'k1' | 'k2'): KeyProvider;
  config(current: 'k1' | 'k2', more?: string): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const [one, two] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
  const env = { KEY_1: one, KEY_2: two };
  const receiver = await startReceiver({
    answer: ({ body }) => {
      const status = /"answer": ?422/.test(body.toString()) ? 422 : 204;
      return status === 204 ? 204 : { status, body: body.toString() };
    },
  });
  const database = await createTestDatabase();
  return {
    ...{ database, receiver, env },
    keys: (current) => encryptionKeys({ current, keys: { k1: one, k2: two } }),
    config: async (current, more = '') => {
      await applyTestConfig(
        database,
        `
        destinations:
          billing: { type: http, url: '${receiver.url}', circuit: { enabled: false } }
          choosy: { type: http, url: '${receiver.url}' }
        routes: [{ match: 'order.*', to: [billing] }, { match: 'choosy.*', where: '$.total > 10', to: [choosy] }]
        producers: { shop: { checkBack: { handler: shop, grace: 1h } } }
        encryption: { current: ${current}, keys: { k1: 'env:KEY_1', k2: 'env:KEY_2'${more} } }
        dashboard: { listen: '127.0.0.1:0', signIn: { tokens: true } }`,
      );
    },
  };
}

/** What is parked of these events, once all are. */
export async function parked(database: TestDatabase, ...ids: readonly string[]) {
  return eventually(async () => {
    const rows = await database.rows<{ id: number; event_id: string; last_error_class: string }>(
      `select l.id::integer, l.event_id, l.last_error_class from outbox.dead_letters l
       join outbox.batches b on b.workflow_id = l.workflow_id and not b.active
       where l.event_id = any ($1) and l.resolved_at is null order by l.id`,
      [ids],
    );
    expect(rows).toHaveLength(ids.length);
    return rows;
  });
}

/** Where these texts stand in the database: as they are, in hexadecimal or in base64, in any column of any table. */
export async function tablesWith(database: TestDatabase, text: string): Promise<string[]> {
  const tables = await database.rows<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'outbox' and c.relkind = 'r'`,
  );
  expect(tables.length).toBeGreaterThan(30);
  const found = [];
  for (const { name } of tables) {
    const [row] = await database.rows<{ n: number }>(
      `select count(*)::integer as n from ${name} t where exists (select from unnest($1::text[]) s where strpos(t::text, s) > 0)`,
      [spellingsOf(text)],
    );
    if (row !== undefined && row.n > 0) found.push(name);
  }
  return found;
}

const { History } = temporal.api.history.v1;

/** Workflows of this database whose histories have the text. */
export async function historiesWith(
  database: TestDatabase,
  text: string,
): Promise<{ readonly searched: number; readonly found: readonly string[] }> {
  const client = await temporalClient();
  const found = [];
  let searched = 0;
  for await (const { workflowId, runId } of client.workflow.list({
    query: `WorkflowId STARTS_WITH '${database.name}/'`,
  })) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const bytes = Buffer.from(History.encode(history).finish());
    searched++;
    if (spellingsOf(text).some((each) => bytes.includes(each))) found.push(workflowId);
  }
  return { searched, found };
}

/** Base64 of it at each of the three places it can begin, without what depends on its neighbours. */
function spellingsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4),
  );
  return [text, bytes.toString('hex'), ...shifted];
}
