/** Looks names up so that those which take long do not hold up the others. */
import { lookup, type LookupAddress } from 'node:dns';

export type Found = (error: Error | null, addresses: LookupAddress[]) => void;
/** As `dns.lookup` with `all: true`. */
export type Ask = (hostname: string, found: Found) => void;

export interface NamesOptions {
  /** Look-ups that run at once: each holds one of libuv's threads for as long as it takes. One of them is for quick names alone. */
  readonly threads: number;
  /** Of these, for names that were never asked for, until they turn out to be slow. */
  readonly unknownAtOnce: number;
  /** A look-up that takes longer makes its name a slow one, until one does not. */
  readonly slowMs: number;
}

/**
 * libuv has 4 threads unless told otherwise when the process starts, and lends half of them to look-ups (`slow_work_thread_threshold`): with
 * two under way a third waits for one of them, though a thread is idle.
 */
export function lookupsAtOnce(poolSize: string | undefined): number {
  return Math.floor(((Number(poolSize ?? '') || 4) + 1) / 2);
}

const threads = lookupsAtOnce(process.env['UV_THREADPOOL_SIZE']);
/** Names are forgotten, oldest first, above so many. */
const knownNames = 10_000;

/**
 * getaddrinfo is the only look-up that keeps to /etc/hosts, nsswitch.conf and search domains; c-ares (`dns.Resolver`) needs no thread, and
 * knows none of these. So threads are rationed: a name whose server does not answer holds one for ten seconds, and four such names held
 * all others up (75 ms at the median became 4.2 s). Names that were slow are asked for one at a time, those not known yet a few at a time,
 * the latest first, and one thread is left to names that answered quickly.
 */
export class Names {
  readonly #ask: Ask;
  readonly #options: NamesOptions;
  /** By name: whether it answered quickly the last time. */
  readonly #quick = new Map<string, boolean>();
  readonly #waiting = new Map<string, Found[]>();
  readonly #lines: Readonly<Record<Kind, string[]>> = { quick: [], unknown: [], slow: [] };
  readonly #underWay: Record<Kind, number> = { quick: 0, unknown: 0, slow: 0 };

  constructor(ask: Ask, options: NamesOptions) {
    this.#ask = ask;
    this.#options = options;
  }

  find(hostname: string, found: Found): void {
    const others = this.#waiting.get(hostname);
    if (others !== undefined) return void others.push(found);
    this.#waiting.set(hostname, [found]);
    const quick = this.#quick.get(hostname);
    this.#lines[quick === undefined ? 'unknown' : quick ? 'quick' : 'slow'].push(hostname);
    this.#next();
  }

  #next(): void {
    const { threads, unknownAtOnce } = this.#options;
    const { quick: quickLine, unknown: unknownLine, slow: slowLine } = this.#lines;
    for (;;) {
      const { quick, unknown, slow } = this.#underWay;
      if (quick + unknown + slow >= threads) return;
      const mayDoubt = unknown + slow < threads - 1;
      if (quickLine.length > 0) this.#begin(quickLine.shift() as string, 'quick');
      else if (mayDoubt && unknown < unknownAtOnce && unknownLine.length > 0)
        this.#begin(unknownLine.pop() as string, 'unknown');
      else if (mayDoubt && slow < 1 && slowLine.length > 0) this.#begin(slowLine.shift() as string, 'slow');
      else return;
    }
  }

  #begin(name: string, as: Kind): void {
    let kind = as;
    this.#underWay[kind]++;
    const startedAt = performance.now();
    const { slowMs } = this.#options;
    // Known while it goes on: it makes room for another that is not known, and who asks next waits in its line.
    const timer = setTimeout(() => {
      this.#note(name, false);
      this.#underWay[kind]--;
      kind = 'slow';
      this.#underWay[kind]++;
      this.#next();
    }, slowMs);
    timer.unref();
    this.#ask(name, (error, addresses) => {
      clearTimeout(timer);
      this.#note(name, performance.now() - startedAt <= slowMs);
      this.#underWay[kind]--;
      const callbacks = this.#waiting.get(name) ?? [];
      this.#waiting.delete(name);
      this.#next();
      for (const found of callbacks) found(error, addresses);
    });
  }

  #note(name: string, quick: boolean): void {
    this.#quick.delete(name);
    this.#quick.set(name, quick);
    if (this.#quick.size <= knownNames) return;
    const [oldest] = this.#quick.keys();
    if (oldest !== undefined) this.#quick.delete(oldest);
  }
}

type Kind = 'quick' | 'unknown' | 'slow';

function askSystem(hostname: string, found: Found): void {
  lookup(hostname, { all: true }, (error, addresses) => {
    const empty = error === null && addresses.length === 0;
    const missing = Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' });
    found(empty ? missing : error, addresses ?? []);
  });
}

/** Of this process, as the threads are. */
export const names = new Names(askSystem, {
  threads: Math.max(threads, 2),
  unknownAtOnce: Math.max(threads - 2, 1),
  slowMs: 500,
});
