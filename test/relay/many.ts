/** More destinations than a relay asks for one by one, all behind one receiver; each answers as its name is told to. */
import { expect } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  type Answer,
  type ReceivedRequest,
  type Receiver,
  type Script,
  type TestDatabase,
} from '../support/index.ts';

export interface Many {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
  readonly names: readonly string[];
  /** From now on. */
  answer(name: string, answer: Answer | Script): void;
  /** One event for each of these names, in one statement; answers their ids by name. */
  write(names: readonly string[], fields?: { key?: string }): Promise<Record<string, string>>;
}

export interface ManyOptions {
  readonly count?: number;
  /** Keys of single destinations, as YAML flow entries. */
  readonly special?: Readonly<Record<string, string>>;
  /** Of all of them. */
  readonly all?: string;
}

export async function openMany({ count = 30, special = {}, all = '' }: ManyOptions = {}): Promise<Many> {
  const scripts = new Map<string, Script>();
  const receiver = await startReceiver({
    answer: (request, nth) => scripts.get(nameOf(request))?.(request, nth) ?? 204,
  });
  const database = await createTestDatabase();
  const names = Array.from({ length: count }, (_, n) => `d${n}`);
  const url = receiver.url.replace(/\/hook$/, '');
  const destinations = names.map((name) => {
    const more = [special[name], all].filter((each) => each !== undefined && each !== '').join(', ');
    return `  ${name}: { type: http, url: '${url}/${name}'${more === '' ? '' : `, ${more}`} }`;
  });
  const routes = names.map((name) => `  - { match: '${name}.*', to: [${name}] }`);
  await applyTestConfig(
    database,
    `destinations:\n${destinations.join('\n')}\nroutes:\n${routes.join('\n')}\n`,
  );
  return {
    database,
    receiver,
    names,
    answer: (name, answer) => void scripts.set(name, typeof answer === 'function' ? answer : () => answer),
    write: async (to, { key } = {}) => {
      const rows = await database.rows<{ id: string; type: string }>(
        `insert into outbox.events (type, key, payload) select n || '.x', $2, '{}' from unnest($1::text[]) n returning id, type`,
        [to, key ?? null],
      );
      return Object.fromEntries(rows.map(({ id, type }) => [type.replace('.x', ''), id]));
    },
  };
}

export function nameOf({ path }: ReceivedRequest): string {
  return path.slice(1);
}

export async function allDelivered(database: TestDatabase, count: number): Promise<void> {
  await eventually(
    async () => {
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBe(count);
    },
    { timeout: 40_000 },
  );
}

/** Nothing is left of any batch, and of no event more than one request came. */
export async function cleanAfter({ database, receiver }: Many): Promise<void> {
  await eventually(async () => expect(await database.rows('select lane from outbox.batches')).toEqual([]), {
    timeout: 40_000,
  });
  expect(new Set(receiver.requests.map(({ id }) => id)).size).toBe(receiver.requests.length);
}
