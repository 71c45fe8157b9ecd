/** Durations of the file: as written, for rules, and as milliseconds, once they are known to be right. */
import { formatDuration, parseDuration } from '../core/duration.ts';
import type { Mapping } from './mapping.ts';

/** A duration as written, or its default; `ms` is null where the schema has already refused it. */
export function written(mapping: Mapping, key: string, defaultMs: number) {
  const value = mapping[key];
  if (value === undefined)
    return { ms: defaultMs, spoken: `${formatDuration(defaultMs)}, the default`, isDefault: true };
  if (typeof value !== 'string') return { ms: null, spoken: '', isDefault: false };
  return { ms: parseDuration(value), spoken: value, isDefault: false };
}

/** Of a duration that the schema took. */
export function ms(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : (parseDuration(text) ?? fallback);
}
