import { printable } from '../core/printable.ts';

/** What a process answers when it is asked how it is. Never a secret: the answers go to whoever can reach the port. */
export interface Check {
  readonly ok: boolean;
  /** What is wrong, or worth knowing; one line. */
  readonly says?: string;
}

export interface Health {
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, Check>>;
}

export type Look = () => Promise<Check> | Check;

/** A check that takes longer has failed: whoever asks has a deadline of its own. */
export const checkTimeoutMs = 3_000;

/** Looks at everything at once; a look that throws or hangs is a check that failed. */
export async function healthOf(
  looks: Readonly<Record<string, Look>>,
  inWords: (error: unknown) => string,
  when: 'each' | 'any' = 'each',
): Promise<Health> {
  const entries = await Promise.all(
    Object.entries(looks).map(async ([name, look]) => [name, await settled(look, inWords)] as const),
  );
  const checks = Object.fromEntries(entries);
  const oks = Object.values(checks).map(({ ok }) => ok);
  return { ok: when === 'each' ? !oks.includes(false) : oks.includes(true), checks };
}

async function settled(look: Look, inWords: (error: unknown) => string): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Check>((resolve) => {
    timer = setTimeout(
      () => resolve({ ok: false, says: `no answer within ${checkTimeoutMs} ms` }),
      checkTimeoutMs,
    );
  });
  try {
    return inOneLine(await Promise.race([late, (async () => look())()]));
  } catch (error) {
    return inOneLine({ ok: false, says: inWords(error) });
  } finally {
    clearTimeout(timer);
  }
}

/** It may hold words of servers, and names of other processes. */
function inOneLine(check: Check): Check {
  return check.says === undefined ? check : { ...check, says: printable(check.says, 500) };
}
