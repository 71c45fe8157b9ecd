import { RequestRefused } from '../http/problem.ts';

const remembered = 10_000;

/** So many at once, and so many a second after that, for each address. */
export class Rates {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #left = new Map<string, { tokens: number; at: number }>();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** @throws RequestRefused 429 */
  take(address: string, now = performance.now()): void {
    const bucket = this.#left.get(address) ?? { tokens: this.#burst, at: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond);
    bucket.at = now;
    if (this.#left.size >= remembered) this.#left.clear();
    this.#left.set(address, bucket);
    if (bucket.tokens < 1) throw new RequestRefused(429, 'too many requests', 'Wait a moment, then go on.');
    bucket.tokens--;
  }
}
