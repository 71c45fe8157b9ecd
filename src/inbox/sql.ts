import { rowsOf, type SqlClient } from '../produce/client.ts';

/** Anything that runs SQL: a `pg` client, or an adapter around Knex, Kysely, Drizzle, Prisma, TypeORM. */
export type { SqlClient };

export async function firstRow<T>(
  client: SqlClient,
  text: string,
  values: unknown[] = [],
): Promise<T | undefined> {
  return rowsOf<T>(await client.query(text, values))[0];
}

/** Text as a literal that no content can end. */
export function dollarQuoted(text: string): string {
  let tag = '$sql$';
  for (let number = 2; text.includes(tag); number++) tag = `$sql${number}$`;
  return `${tag}${text}${tag}`;
}

/** Text of whoever sent it, as nothing but digits: there is nothing in it to be escaped, whatever the session's settings. */
export function textLiteral(text: string): string {
  return `convert_from(decode('${Buffer.from(text).toString('hex')}', 'hex'), 'UTF8')`;
}
