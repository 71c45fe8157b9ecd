/** The SQL files of a schema. Imports no driver: consumers load this with any client. */
import { readdir, readFile } from 'node:fs/promises';

const versionedName = /^(\d{4})-[a-z-]+\.sql$/;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** In the order in which they are applied. */
export async function readMigrationsIn(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => versionedName.test(name)).sort();
  return Promise.all(
    names.map(async (name) => ({
      version: Number(name.slice(0, 4)),
      name,
      sql: await readFile(new URL(name, folder), 'utf8'),
    })),
  );
}
