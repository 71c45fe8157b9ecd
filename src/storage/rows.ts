/** Apart from connect.ts, so that who brings a connection along loads no client. */

/** What storage needs of a connection: a pool or a client of `pg`, or anything shaped like one. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; rowCount?: number | null }>;
}

export async function rowsOf<T>(db: Queryable, text: string, values: unknown[] = []): Promise<T[]> {
  const { rows } = await db.query(text, values);
  return rows as T[];
}

export async function firstOf<T>(
  db: Queryable,
  text: string,
  values: unknown[] = [],
): Promise<T | undefined> {
  return (await rowsOf<T>(db, text, values))[0];
}
