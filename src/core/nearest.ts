/** The candidate a mistyped word most likely meant; null when none is near. Case and `_` for `-` cost nothing. */
export function nearestWord(word: string, candidates: readonly string[]): string | null {
  const typed = fold(word);
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(typed, fold(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  // Half of the longer word: `retires` → `retry` is worth saying, `x` → `to` is noise.
  return best !== null && bestDistance <= Math.max(typed.length, best.length) / 2 ? best : null;
}

function fold(word: string): string {
  // Nothing known is longer than 30 characters; cutting keeps a megabyte of key from costing anything.
  return word.slice(0, 64).toLowerCase().replace(/[_-]/g, '');
}

/** Damerau-Levenshtein (optimal string alignment): insertions, deletions, replacements, swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = at(previous, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let distance = Math.min(at(previous, column) + 1, at(current, column - 1) + 1, replaced);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) distance = Math.min(distance, at(beforePrevious, column - 2) + 1);
      current.push(distance);
    }
    [beforePrevious, previous] = [previous, current];
  }
  return at(previous, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
