/** So many events of others must go through while all of one type fail. */
const othersMinimum = 3;
/** Types remembered as failing: more of them fail for another reason than their type. */
const typesMaximum = 1_000;

/**
 * How the events of one destination fare, as this process sees it over its attempts: tells a sick event type from a sick destination, and
 * a message that its receiver does not want from an endpoint that is gone. Pure: the clock is passed in.
 */
export class LaneMemory {
  #acknowledged = 0;
  #acknowledgedAtMs = -Infinity;
  /** By type: what had gone through when it failed first, with no success of its own since. */
  readonly #failingSince = new Map<string, number>();
  /** It was seen that others go through beside signs: the receiver means the message by them. */
  meansMessages = false;

  acknowledge(type: string, nowMs: number): void {
    this.#acknowledged++;
    this.#acknowledgedAtMs = nowMs;
    if (this.#failingSince.size > 0) this.#failingSince.delete(type);
  }

  fail(type: string): void {
    if (this.#failingSince.size < typesMaximum && !this.#failingSince.has(type))
      this.#failingSince.set(type, this.#acknowledged);
  }

  /** Whether, since its first failure in a row, events of other types went through. */
  isSickAlone(type: string): boolean {
    const since = this.#failingSince.get(type);
    return since !== undefined && this.#acknowledged - since >= othersMinimum;
  }

  /** Whether any event went through since then. */
  wentThroughSince(ms: number): boolean {
    return this.#acknowledgedAtMs > ms;
  }
}
