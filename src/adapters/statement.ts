/** Our statements have `$1`, `$2`; some libraries have other ways to say where a value stands. */
import { transactionOf, type SqlAnswer, type SqlClient } from '../produce/client.ts';

/** @param transaction what the library hands to the work inside of a transaction: `enqueue` looks whether it is one */
export function adapter(
  transaction: unknown,
  query: (text: string, values: unknown[]) => Promise<unknown>,
): SqlClient {
  return {
    [transactionOf]: transaction,
    query: (text: string, values: unknown[]) => query(text, values) as Promise<SqlAnswer>,
  } as SqlClient;
}

/** The text between the values, and the values in the order in which they stand there. */
export function piecesOf(text: string, values: readonly unknown[]): { texts: string[]; values: unknown[] } {
  if (values.length === 0) return { texts: [text], values: [] };
  const texts = text.split(/\$\d+/);
  const numbers = text.match(/\$\d+/g) ?? [];
  return { texts, values: numbers.map((number) => values[Number(number.slice(1)) - 1]) };
}

/** With `?` for each value; a `?` that is PostgreSQL's own is written as `escaped`. */
export function withQuestionMarks(
  text: string,
  values: readonly unknown[],
  escaped: string,
): [string, unknown[]] {
  const pieces = piecesOf(text, values);
  return [pieces.texts.map((piece) => piece.replaceAll('?', escaped)).join('?'), pieces.values];
}
