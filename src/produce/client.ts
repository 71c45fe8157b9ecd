/** What a producer hands us to write with, and what may be wrong with it. */
import { OutboxError } from '../errors.ts';

/** What a driver answers: `{ rows }` as `pg` has it, or the rows themselves as TypeORM and postgres.js have them. */
export type SqlAnswer = { readonly rows: readonly unknown[] } | readonly unknown[];

/** Anything that runs SQL in your transaction: a client of `pg`, an entity manager of TypeORM, or one of the adapters. */
export interface SqlClient {
  query(text: string, values: unknown[]): Promise<SqlAnswer>;
}

/** Under this name an adapter keeps what it adapts. */
export const transactionOf: unique symbol = Symbol.for('temporal-outbox.transaction') as never;

/** @throws OutboxError OUTBOX_CLIENT_INVALID for an answer that holds no rows */
export function rowsOf<Row>(answer: SqlAnswer | null | undefined): Row[] {
  const rows = Array.isArray(answer)
    ? answer
    : (answer as { readonly rows?: unknown } | null | undefined)?.rows;
  if (Array.isArray(rows)) return rows as Row[];
  throw invalidClient(
    'the client answered without rows',
    'query(text, values) has to answer { rows } or the rows.',
  );
}

/** Rows of which there must be so many. */
export function rowsExpected<Row>(answer: SqlAnswer | null | undefined, count: number): Row[] {
  const rows = rowsOf<Row>(answer);
  if (rows.length === count) return rows;
  throw invalidClient(
    `the client answered ${rows.length} rows where ${count} were written`,
    'Whether anything was written is not known: roll back. The adapter has to pass on the rows that the statement answers.',
  );
}

/**
 * Most pools and connections have the same `query` as a transaction has: the compiler cannot tell them apart, and an event written
 * through one stays when the business data rolls back.
 *
 * @throws OutboxError OUTBOX_CLIENT_INVALID
 */
export function assertTransaction(client: unknown): void {
  const adapted = (client as { readonly [transactionOf]?: unknown } | null | undefined)?.[transactionOf];
  const what = outsideTransaction(adapted ?? client);
  if (what === null) return;
  throw new OutboxError(
    'OUTBOX_CLIENT_INVALID',
    `the client is ${what}: the event would not be part of your transaction`,
    {
      hint: 'Pass the client on which you ran begin (or the transaction object); { ownTransaction: true } if the event stands alone.',
    },
  );
}

export function invalidClient(message: string, hint: string): OutboxError {
  return new OutboxError('OUTBOX_CLIENT_INVALID', message, { hint });
}

/** What a client is that surely runs each statement in a transaction of its own; null where that cannot be said. By shape: no driver is loaded. */
export function outsideTransaction(client: unknown): string | null {
  if ((typeof client !== 'object' && typeof client !== 'function') || client === null) return null;
  const has = (name: string): boolean => name in client;
  const its = (name: string): unknown => (client as Record<string, unknown>)[name];
  const can = (name: string): boolean => typeof its(name) === 'function';
  if (has('totalCount') && has('idleCount') && can('connect')) return 'a pool of pg';
  if (can('createQueryRunner') && has('entityMetadatas')) return 'a DataSource of TypeORM';
  // The manager of a transaction has its queryRunner, the one of the pool has none.
  if (can('getRepository') && can('transaction') && (has('connection') || has('dataSource')))
    return outsideOfTypeOrm(its('queryRunner'), 'an EntityManager');
  if (can('startTransaction') && has('isTransactionActive')) return outsideOfTypeOrm(client, 'a QueryRunner');
  if (can('unsafe') && can('begin')) return 'the sql of a pool of postgres.js';
  if (can('raw') && can('transaction') && has('client') && its('isTransaction') !== true)
    return 'a Knex without a transaction';
  if (can('selectFrom') && has('isTransaction') && its('isTransaction') !== true)
    return 'a Kysely without a transaction';
  if (can('$connect') && can('$disconnect')) return 'a PrismaClient';
  if (
    can('isInTransaction') &&
    can('getConnection') &&
    !(client as { isInTransaction(): boolean }).isInTransaction()
  )
    return 'an EntityManager of MikroORM without a transaction';
  if (can('getQueryInterface') && can('authenticate')) return 'a Sequelize';
  if (has('$client') && can('transaction') && !can('rollback')) return 'a Drizzle database';
  return null;
}

function outsideOfTypeOrm(runner: unknown, what: string): string | null {
  const active = (runner as { readonly isTransactionActive?: unknown } | null | undefined)
    ?.isTransactionActive;
  return active === true ? null : `${what} of TypeORM without a transaction`;
}
