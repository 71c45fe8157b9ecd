/** Certificates of one destination, read again when they were renewed on disk. */
import { statSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { SecretSource } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import { pemFile } from '../shared/pem.ts';
import { tlsOptions, type TlsCredentials } from '../shared/tlsOptions.ts';

/** What a connection is opened with. */
export interface ReadTls {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized?: false;
}

/** Files are looked at so often at most, and only where a connection is opened. */
const lookEveryMs = 1_000;

export class TlsFiles {
  readonly #settings: TlsCredentials;
  readonly #source: SecretSource;
  readonly #paths: readonly string[];
  #read: ReadTls;
  #marks: string;
  #lookedAtMs: number;

  /** @throws OutboxError OUTBOX_SECRET_MISSING: a variable or file is missing or no PEM; OUTBOX_CONFIG_INVALID: TLS cannot use it */
  constructor(settings: TlsCredentials, source: SecretSource) {
    this.#settings = settings;
    this.#source = source;
    this.#paths = [settings.ca, settings.cert, settings.key].flatMap((reference) => {
      const path = reference === null ? null : pemFile(reference);
      return path === null ? [] : [path];
    });
    this.#marks = this.#marksNow();
    this.#read = this.#readAll();
    this.#lookedAtMs = performance.now();
  }

  /**
   * The same object until a file changed. A certificate without its key yet, as between two writes of a renewal, changes nothing: the
   * old pair serves until the new one is whole.
   */
  current(): ReadTls {
    const nowMs = performance.now();
    if (this.#paths.length === 0 || nowMs - this.#lookedAtMs < lookEveryMs) return this.#read;
    this.#lookedAtMs = nowMs;
    const marks = this.#marksNow();
    if (marks === this.#marks) return this.#read;
    try {
      this.#read = this.#readAll();
      this.#marks = marks;
    } catch {
      // Looked at again with the next connection.
    }
    return this.#read;
  }

  #readAll(): ReadTls {
    const { rejectUnauthorized, ...pem } = tlsOptions(this.#settings, this.#source);
    try {
      const secureContext = createSecureContext(pem);
      return rejectUnauthorized === false ? { secureContext, rejectUnauthorized } : { secureContext };
    } catch (error) {
      const { message } = error as Error;
      throw new OutboxError('OUTBOX_CONFIG_INVALID', `tls: certificate and key cannot be used: ${message}`);
    }
  }

  /** Of the files as they are on disk. A mount of Kubernetes changes what a link leads to, which stat follows. */
  #marksNow(): string {
    return this.#paths
      .map((path) => {
        const found = statSync(path, { throwIfNoEntry: false });
        return found === undefined ? 'gone' : `${found.ino} ${found.size} ${found.mtimeMs}`;
      })
      .join(', ');
  }
}
