/** Secrets of a destination as they are read, and what must not be shown of them. */

/** Resolves references and remembers what must not be shown. */
export class KnownSecrets {
  readonly resolve: (reference: string) => string;
  private readonly values = new Set<string>();

  constructor(resolve: (reference: string) => string) {
    this.resolve = resolve;
  }

  read(reference: string): string {
    const value = this.resolve(reference);
    this.remember(value);
    return value;
  }

  /** Very short values would blank out half of every excerpt, and are no secrets. */
  remember(value: string): void {
    if (value.length >= 6) this.values.add(value);
  }

  /** `Bearer abc`: a receiver may echo the second word alone. */
  rememberWords(value: string): void {
    this.remember(value);
    for (const word of value.split(' ')) this.remember(word);
  }

  /** Longest first, so that one which contains another is taken out whole. */
  known(): string[] {
    return [...this.values].sort((one, other) => other.length - one.length);
  }
}

/** Of HTTP Basic. */
export function basicOf(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}
