/**
 * Attempts by the signal that can stop them. A batch shares one signal: one listener for all of its attempts, since
 * adding and removing a listener for each message costs more than signing it.
 */
export class Cancellations<T extends { cancel(): void }> {
  private readonly bySignal = new WeakMap<AbortSignal, Set<T>>();

  add(signal: AbortSignal, attempt: T): void {
    (this.bySignal.get(signal) ?? this.listen(signal)).add(attempt);
  }

  remove(signal: AbortSignal, attempt: T): void {
    this.bySignal.get(signal)?.delete(attempt);
  }

  private listen(signal: AbortSignal): Set<T> {
    const attempts = new Set<T>();
    this.bySignal.set(signal, attempts);
    const cancelAll = (): void => {
      for (const attempt of [...attempts]) attempt.cancel();
    };
    signal.addEventListener('abort', cancelAll, { once: true });
    return attempts;
  }
}
