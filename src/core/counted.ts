/** `1 route`, `2 routes`, `2 deliveries`. */
export function counted(count: number, what: string): string {
  return `${count} ${count === 1 ? what : pluralOf(what)}`;
}

function pluralOf(what: string): string {
  return /[^aeiou]y$/.test(what) ? `${what.slice(0, -1)}ies` : `${what}s`;
}
