import { resolveSecret } from '../../core/secrets.ts';
import type { SecretSource } from '../../core/secrets.ts';

/** What `env:NAME` stands for, or the literal. @throws OutboxError when it is missing */
export function readSecret(reference: string, source: SecretSource): string {
  return (source.resolveSecret ?? resolveSecret)(reference, source.env);
}

/** Those that no message may show: very short ones would blank out half of every text, and are no secrets. */
export function hidden(values: readonly unknown[]): string[] {
  return values.filter((each): each is string => typeof each === 'string' && each.length >= 4);
}
