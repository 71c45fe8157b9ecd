/** What an error says, without what follows its first line: statements, stacks, advice of libraries. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
