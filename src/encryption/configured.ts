/** The keys of `encryption` in outbox.yaml, as this process has them. */
import { readFile } from 'node:fs/promises';
import type { EncryptionConfig } from '../core/destination.ts';
import { readVariable, secretName, type Environment } from '../core/secrets.ts';
import { readEncryption } from '../storage/encryption.ts';
import type { Queryable } from '../storage/connect.ts';
import { keyBytes, type KeyProvider } from './keys.ts';

/** The configuration and files are looked at again so often at most; what was not found, sooner. */
const freshMs = 60_000;
const missingMs = 2_000;

/** Null in place of a provider: nothing is encrypted here. */
export class ConfiguredKeys implements KeyProvider {
  readonly #db: Queryable;
  readonly #env: Environment;
  #config: EncryptionConfig | null = null;
  #readAt = -Infinity;
  readonly #keys = new Map<string, { readonly key: Uint8Array | undefined; readonly at: number }>();

  constructor(db: Queryable, env: Environment) {
    this.#db = db;
    this.#env = env;
  }

  /** Of the configuration read last; see {@link load}. */
  get current(): string {
    return this.#config?.current ?? '(none is configured)';
  }

  async load(): Promise<this> {
    if (performance.now() - this.#readAt < freshMs) return this;
    return this.#read();
  }

  async key(kid: string): Promise<Uint8Array | undefined> {
    const now = performance.now();
    const known = this.#keys.get(kid);
    if (known !== undefined && now - known.at < (known.key === undefined ? missingMs : freshMs))
      return known.key;
    if (now - this.#readAt >= missingMs) await this.#read();
    const key = await this.#find(kid);
    this.#keys.set(kid, { key, at: now });
    return key;
  }

  async #read(): Promise<this> {
    this.#config = await readEncryption(this.#db);
    this.#readAt = performance.now();
    return this;
  }

  /** A variable or file that is missing, or holds no key, is a key that is not here: its events wait. */
  async #find(kid: string): Promise<Uint8Array | undefined> {
    const reference = Object.hasOwn(this.#config?.keys ?? {}, kid) ? this.#config?.keys[kid] : undefined;
    if (reference === undefined) return undefined;
    const name = secretName(reference);
    try {
      const text =
        name === null
          ? await readFile(reference.slice('file:'.length), 'utf8')
          : readVariable(this.#env, name);
      return text === undefined ? undefined : keyBytes(kid, text);
    } catch {
      return undefined;
    }
  }
}
