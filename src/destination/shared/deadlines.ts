/** A member of {@link Deadlines}: the links of the list live in the member, so that joining allocates nothing. */
export interface Expiring<T> {
  deadlineAtMs: number;
  earlier: T | null;
  later: T | null;
  expire(): void;
}

/**
 * One deadline per attempt at the price of two pointer writes. All members share one timeout, so they expire in the
 * order they joined: a linked list and a single timer for its head are enough, exact to the timer's millisecond.
 *
 * Measured, CPU per message of `Pool.request` to a local receiver, concurrency 50: without a deadline 25.0 µs, with
 * `AbortSignal.timeout` per message 34.7 µs. This list: not measurable.
 */
export class Deadlines<T extends Expiring<T>> {
  private readonly timeoutMs: number;
  private first: T | null = null;
  private last: T | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs;
  }

  /** `nowMs` is of performance.now() and never goes back. */
  add(member: T, nowMs: number): void {
    member.deadlineAtMs = nowMs + this.timeoutMs;
    member.earlier = this.last;
    member.later = null;
    if (this.last === null) this.first = member;
    else this.last.later = member;
    this.last = member;
    if (this.timer === null) this.arm(this.timeoutMs);
  }

  /** Removing what is not in the list does nothing. */
  remove(member: T): void {
    const { earlier, later } = member;
    if (earlier === null && this.first !== member) return;
    if (earlier === null) this.first = later;
    else earlier.later = later;
    if (later === null) this.last = earlier;
    else later.earlier = earlier;
    member.earlier = null;
    member.later = null;
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private arm(delayMs: number): void {
    this.timer = setTimeout(() => this.expireDue(), Math.max(1, Math.ceil(delayMs)));
    // The sockets keep the process alive as long as there is something to wait for.
    this.timer.unref();
  }

  private expireDue(): void {
    this.timer = null;
    const nowMs = performance.now();
    while (this.first !== null && this.first.deadlineAtMs <= nowMs) {
      const member = this.first;
      this.remove(member);
      member.expire();
    }
    if (this.first !== null && this.timer === null) this.arm(this.first.deadlineAtMs - nowMs);
  }
}
