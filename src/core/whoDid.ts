/** How it is known who sent a command; null of lines that an earlier version wrote. */
export type Known = 'proved' | 'session_user' | 'claimed';

/** Who did something, as the audit has it. */
export interface WhoDid {
  /** What the sender says of itself, or what a program that people sign in to says of them. */
  readonly actor: string | null;
  readonly known: Known | null;
  /** `proved`: whom Temporal authenticated, `jwt:ada@example.com`. */
  readonly principal: string | null;
  /** What the sender's client said of itself to Temporal. */
  readonly identity: string | null;
  /** The database user that announced the command, or carried it out. */
  readonly login: string | null;
}

/** Who, and in a word or two how that is known; null where nothing was noted. */
export function whoDid({ actor, known, principal, identity, login }: WhoDid): {
  readonly who: string;
  readonly how: string | null;
} {
  switch (known) {
    case 'proved':
      return actor === null || principal === null
        ? { who: principal ?? 'somebody', how: 'proved' }
        : { who: actor, how: `proved: ${principal}` };
    case 'session_user':
      return { who: actor ?? login ?? 'somebody', how: `database user ${login ?? 'unknown'}` };
    case 'claimed':
      return {
        who: actor ?? 'somebody',
        how: identity === null ? 'claimed' : `claimed, client ${identity}`,
      };
    case null:
      return { who: actor ?? 'somebody', how: null };
  }
}

/** Both in one line. */
export function whoDidText(did: WhoDid): string {
  const { who, how } = whoDid(did);
  return how === null ? who : `${who} (${how})`;
}
