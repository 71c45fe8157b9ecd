import { secretName } from '../core/secrets.ts';
import { OutboxError } from '../errors.ts';
import { connect, type Pool } from '../storage/connect.ts';
import { assertDatabaseUrl, describeDatabase, isNoAddress } from '../storage/databaseUrl.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { requireSchema } from '../storage/migrate.ts';
import type { Output } from './output.ts';
import { connectPatiently, patiently } from './patience.ts';

/** @throws OutboxError OUTBOX_USAGE when it is missing or no address of PostgreSQL, OUTBOX_DATABASE_URL_INVALID when its password is badly written; the value is never repeated */
export function databaseUrl(env: NodeJS.ProcessEnv = process.env, name = 'OUTBOX_DATABASE_URL'): string {
  const url = env[name];
  if (url === undefined || url === '') {
    throw new OutboxError('OUTBOX_USAGE', `${name} is not set`, {
      hint: 'Example: OUTBOX_DATABASE_URL=postgresql://user:password@localhost:5432/orders',
    });
  }
  if (isNoAddress(url)) {
    throw new OutboxError('OUTBOX_USAGE', `${name} is not an address of PostgreSQL`, {
      hint: 'It looks like postgresql://user:password@host:5432/database; special characters in the password are %-encoded.',
    });
  }
  assertDatabaseUrl(url, name);
  return url;
}

/**
 * What was given by `--database-url`, in its order: an address, or `env:NAME`, which no list of processes shows.
 * @throws OutboxError as {@link databaseUrl}
 */
export function givenDatabaseUrls(
  given: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): { readonly urls: readonly string[]; readonly variables: readonly string[] } {
  const variables = given.flatMap((text) => secretName(text) ?? []);
  const option = '--database-url';
  const urls = given.map((text) => {
    const name = secretName(text);
    return name === null ? databaseUrl({ [option]: text }, option) : databaseUrl(env, name);
  });
  return { urls, variables };
}

/**
 * Opens the database for one command and closes it after; what PostgreSQL throws is put into words. `patient`: for what changes much, or waits
 * for locks of others: it takes as long as it needs, says so, and can be interrupted.
 */
export async function withDatabase<T>(
  work: (pool: Pool) => Promise<T>,
  options: { readonly anySchema?: boolean; readonly patient?: Output; readonly url?: string } = {},
): Promise<T> {
  const { patient, url = databaseUrl() } = options;
  const pool =
    patient === undefined
      ? connect(url, { applicationName: 'temporal-outbox-cli', max: 4 })
      : connectPatiently(url, 4);
  try {
    if (options.anySchema !== true) await requireSchema(pool);
    return await (patient === undefined ? work(pool) : patiently(patient, url, pool, work));
  } catch (error) {
    throw explainDatabaseError(error, describeDatabase(url));
  } finally {
    await pool.end();
  }
}
