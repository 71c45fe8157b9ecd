/**
 * Event type patterns of routes: `*` stands for any run of characters, the empty one and dots included; everything
 * else stands for itself. `order.*` takes `order.paid` and `order.line.added`, not `order`.
 */

/** The same pattern for SQL's LIKE with its default escape: `order_*` → `order\_%`. */
export function likePattern(pattern: string): string {
  return pattern.replace(/[\\%_]/g, '\\$&').replace(/\*+/g, '%');
}

/**
 * Whether a type matches, as PostgreSQL would with {@link likePattern}. Each piece between stars is taken at its
 * first occurrence, which is never worse than a later one, so nothing is tried twice: at most
 * `type.length × longest piece` comparisons whatever the pattern.
 */
export function matchesPattern(pattern: string, type: string): boolean {
  const pieces = pattern.split('*');
  const first = pieces[0] as string;
  if (pieces.length === 1) return type === pattern;
  const last = pieces[pieces.length - 1] as string;
  if (!type.startsWith(first)) return false;
  let position = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = type.indexOf(piece, position);
    if (found === -1) return false;
    position = found + piece.length;
  }
  return type.length - last.length >= position && type.endsWith(last);
}
