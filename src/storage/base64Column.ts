/** A column of bytes as text; PostgreSQL breaks its base64 into lines. */
export const base64 = (column: string): string => `translate(encode(${column}, 'base64'), E'\\n', '')`;
