/** As PostgreSQL prints it. */
export const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** In small or capital letters, as people paste it. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text.toLowerCase());
}
