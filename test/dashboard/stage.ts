/** A database, ours running over it with the dashboard, and a receiver whose answers the events themselves ask for. */
import { enqueue, type NewEvent } from '../../src/index.ts';
import { expect } from 'vitest';
import type { RunOptions } from '../../src/run.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  servers,
  startReceiver,
  startRun,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';

export interface Stage {
  readonly database: TestDatabase;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** Behind `billing`, which keeps order by key, and `stock`; answers what the payload's `answer` says, 204 without. */
  readonly receiver: Receiver;
  /** Events that are answered 204 from now on, whatever they say. */
  readonly healed: Set<string>;
  write(events: readonly NewEvent[]): Promise<string[]>;
  /** Writes them, and answers the numbers of their letters once all are parked. */
  park(events: readonly NewEvent[]): Promise<number[]>;
}

export async function openDashboard(more = '', options: Partial<RunOptions> = {}): Promise<Stage> {
  const healed = new Set<string>();
  const receiver = await startReceiver({
    answer: ({ body, id }) => {
      const { answer = 204, says = '' } = askedFor(body);
      if (healed.has(id.replace(/:r\d+$/, ''))) return 204;
      return { status: answer, body: says, headers: { 'content-type': 'application/json' } };
    },
  });
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', ordering: key, circuit: { enabled: false } }
      stock: { type: http, url: '${receiver.url}', circuit: { enabled: false }, retry: { maximumAttempts: 3, initialInterval: 50ms } }
      archive: { type: http, url: '${receiver.url}' }
    routes:
      - { match: 'order.*', to: [billing] }
      - { match: 'stock.*', to: [stock] }
    producers:
      shop: { checkBack: { handler: shop, grace: 1h } }
    dashboard: { listen: '127.0.0.1:0'${more} }`,
  );
  const { temporalUi } = servers();
  const running = await startRun({
    databaseUrl: database.url,
    checkBacks: { shop: () => Promise.resolve('unknown') },
    env: temporalUi === null ? {} : { TEMPORAL_UI_URL: temporalUi },
    ...options,
  });
  const write = async (events: readonly NewEvent[]): Promise<string[]> =>
    (await enqueue(database.pool, [...events], { ownTransaction: true })).map(({ id }) => id);
  return {
    database,
    url: running.endpoints['dashboard'] ?? '',
    receiver,
    healed,
    write,
    park: async (events) => {
      const ids = await write(events);
      return eventually(async () => {
        const letters = await database.rows<{ id: number }>(
          `select l.id::integer from unnest($1::uuid[]) with ordinality e(id, n)
           join outbox.dead_letters l on l.event_id = e.id and l.resolved_at is null
           join outbox.batches b on b.workflow_id = l.workflow_id and not b.active order by e.n`,
          [ids],
        );
        expect(letters).toHaveLength(ids.length);
        return letters.map(({ id }) => id);
      });
    },
  };
}

function askedFor(body: Buffer): { answer?: number; says?: string } {
  try {
    return (JSON.parse(body.toString()) as { answer?: number; says?: string } | null) ?? {};
  } catch {
    return {};
  }
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

/** As a program asks. */
export async function ask(
  url: string,
  { body, headers = {}, method }: { body?: string; headers?: Record<string, string>; method?: string } = {},
): Promise<Answered> {
  const response = await fetch(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}
