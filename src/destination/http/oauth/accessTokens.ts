/** The access token that requests to one destination carry: fetched when it is needed, kept until shortly before it ends. */
import { unlessAborted } from '../../../core/unlessAborted.ts';
import { requestToken, type Token, type TokenEndpoint, type TokenFailure } from './tokenRequest.ts';

/** Of a token whose answer does not say (RFC 6749 leaves it to us). */
const assumedLifetimeMs = 5 * 60_000;
/** So long before its end, or a tenth of its life where that is shorter, the next one is fetched. */
const aheadMs = 60_000;
/** So long after a failure others are told the same without asking again: a thousand messages are not a thousand requests. */
const failureHoldsMs = 1_000;
/** A token that no request has succeeded with is not given up before it is so old: the receiver refuses the client, not the token. */
const unprovenHoldsMs = 10_000;

interface Held {
  readonly authorization: string;
  readonly fetchedAtMs: number;
  readonly renewAtMs: number;
  readonly endsAtMs: number;
  proven: boolean;
}

export class AccessTokens {
  readonly #endpoint: TokenEndpoint;
  /** Shared with the target: texts that no message may show, longest first. The token at hand is among them. */
  readonly #secrets: string[];
  #held: Held | null = null;
  #fetching: Promise<TokenFailure | null> | null = null;
  #failure: { readonly told: TokenFailure; readonly untilMs: number } | null = null;
  /** The tokens among the secrets: the latest two, as an answer to a request with the one before may be on its way. */
  #hidden: readonly string[] = [];

  constructor(endpoint: TokenEndpoint, secrets: string[]) {
    this.#endpoint = endpoint;
    this.#secrets = secrets;
  }

  /** `Bearer …` of the latest token, past its end too: what a request carries that waited in line. Empty before there is one. */
  get authorization(): string {
    return this.#held?.authorization ?? '';
  }

  /** Null once there is a token, or why there is none; rejects when `signal` ends the wait, and with it nothing else. */
  async ready(signal: AbortSignal): Promise<TokenFailure | null> {
    const nowMs = performance.now();
    if (this.#held !== null && nowMs < this.#held.renewAtMs) return null;
    const failure = await unlessAborted(this.#fetch(nowMs), signal);
    // The next one cannot be had yet, and this one is still good.
    return this.#held !== null && performance.now() < this.#held.endsAtMs ? null : failure;
  }

  /** A request with it was answered by something else than 401. */
  prove(authorization: string): void {
    if (this.#held?.authorization === authorization) this.#held.proven = true;
  }

  /**
   * After 401 to a request that carried it: whether there is another token to try, or why none could be had. Rejects when `signal` ends
   * the wait.
   */
  async renew(authorization: string, signal: AbortSignal): Promise<boolean | TokenFailure> {
    const held = this.#held;
    if (held === null) return false;
    if (held.authorization !== authorization) return true;
    const isGivenUp = held.endsAtMs === 0;
    if (!isGivenUp && !held.proven && performance.now() - held.fetchedAtMs < unprovenHoldsMs) return false;
    this.#held = { ...held, renewAtMs: 0, endsAtMs: 0 };
    const failure = await this.ready(signal);
    return failure ?? this.authorization !== authorization;
  }

  #fetch(nowMs: number): Promise<TokenFailure | null> {
    if (this.#failure !== null && nowMs < this.#failure.untilMs) return Promise.resolve(this.#failure.told);
    this.#fetching ??= requestToken(this.#endpoint, this.#secrets).then((answer) => {
      this.#fetching = null;
      if ('accessToken' in answer) return this.#keep(answer);
      this.#failure = { told: answer, untilMs: performance.now() + failureHoldsMs };
      return answer;
    });
    return this.#fetching;
  }

  #keep({ accessToken, lifetimeMs }: Token): null {
    const fetchedAtMs = performance.now();
    const lifeMs = lifetimeMs ?? assumedLifetimeMs;
    const endsAtMs = fetchedAtMs + lifeMs;
    this.#failure = null;
    this.#held = {
      authorization: `Bearer ${accessToken}`,
      fetchedAtMs,
      renewAtMs: endsAtMs - Math.min(aheadMs, lifeMs / 10),
      endsAtMs,
      proven: false,
    };
    this.#hide(accessToken);
    return null;
  }

  #hide(accessToken: string): void {
    const others = this.#secrets.filter((each) => !this.#hidden.includes(each));
    this.#hidden = [...this.#hidden.slice(-1), accessToken];
    const all = [...new Set([...others, ...this.#hidden])];
    all.sort((one, other) => other.length - one.length);
    this.#secrets.splice(0, this.#secrets.length, ...all);
  }
}
