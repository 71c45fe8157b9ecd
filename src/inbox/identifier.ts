import { invalid } from './message.ts';

/** `orders`, or `billing.orders`; a name with a dot in it goes into the list form, `['billing', 'odd.name']`. */
export type TableName = string | readonly [schema: string, table: string];

/** Quoted: any name that PostgreSQL can have stands for itself, and none can end the quotes. */
export function quotedTable(table: TableName): string {
  const parts = typeof table === 'string' ? table.split('.') : table;
  if (!Array.isArray(parts) || parts.length > 2)
    throw invalid('table', 'name, schema.name or [schema, name]', table);
  return parts.map((part) => quotedName('table', part)).join('.');
}

export function quotedName(what: string, name: unknown): string {
  if (typeof name !== 'string' || name === '' || name.includes('\0') || Buffer.byteLength(name) > 63) {
    throw invalid(what, 'a name of 1 to 63 bytes', name);
  }
  return `"${name.replaceAll('"', '""')}"`;
}
