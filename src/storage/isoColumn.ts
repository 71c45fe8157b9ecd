/** ISO 8601 in UTC, as JavaScript prints it; null where the column is. Loads no driver. */
export const iso = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
