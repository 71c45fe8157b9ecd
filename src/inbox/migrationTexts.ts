/** The SQL of the inbox. In temporal-outbox-client, which may be bundled into one file, this module holds the texts themselves. */
import { readFile } from 'node:fs/promises';
import { readMigrationsIn, type Migration } from '../storage/migrationFiles.ts';

const folder = new URL('./migrations/', import.meta.url);

export function readInboxMigrations(): Promise<Migration[]> {
  return readMigrationsIn(folder);
}

export function readInboxRoles(): Promise<string> {
  return readFile(new URL('roles.sql', folder), 'utf8');
}
