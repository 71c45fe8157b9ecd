import { createRequire } from 'node:module';

/** Of this package, as its package.json has it. */
export function version(): string {
  const require = createRequire(import.meta.url);
  // Up from src, or from dist/src.
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return (require(place) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
