import { unreachable } from './failures.ts';

/** The work's result, or `unreachable`, class `timeout`, when there is none in time; `late` is called then. */
export async function untilDeadline<Result>(
  work: Promise<Result>,
  timeoutMs: number,
  { said, late = () => undefined }: { readonly said: string; readonly late?: () => void },
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      late();
      reject(unreachable('timeout', `${said}: no answer within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
