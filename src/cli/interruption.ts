/** Ctrl-C and SIGTERM, for commands that run until they are told to stop. */

export interface Interruption {
  /** Resolves at the first signal, or when nobody reads our output any more. */
  readonly requested: Promise<string>;
  readonly signal: AbortSignal;
}

export const exitCodes: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/** The first signal asks for an orderly stop, the second ends the process at once. */
export function listenForInterruption(onRequest: (why: string) => void = () => undefined): Interruption {
  const controller = new AbortController();
  const requested = new Promise<string>((resolve) => {
    const listen = (name: string): void => {
      process.on(name, () => {
        if (controller.signal.aborted) process.exit(exitCodes[name] ?? 0);
        controller.abort();
        onRequest(name);
        resolve(name);
      });
    };
    for (const name of [...Object.keys(exitCodes), closedPipeEvent]) listen(name);
  });
  return { requested, signal: controller.signal };
}

/** Emitted on `process` when stdout or stderr lost its reader. */
export const closedPipeEvent = 'closedPipe';
