/** A sender whose messages carry an access token. */
import type { Sender, SendOutcome } from '../../../core/outcome.ts';
import type { AccessTokens } from './accessTokens.ts';
import type { TokenFailure } from './tokenRequest.ts';

/** The class of an attempt that had no token to carry: the destination's outage, charged to no event. */
export const noTokenClass = 'token-endpoint';

/** Waits for a token before each message; after 401 the message is sent once more with another token, where there is one. */
export function withAccessToken(sender: Sender, tokens: AccessTokens): Sender {
  const underWay = new Set<Promise<SendOutcome>>();
  let closing = false;
  const counted = (attempt: Promise<SendOutcome>): Promise<SendOutcome> => {
    underWay.add(attempt);
    void attempt.finally(() => underWay.delete(attempt));
    return attempt;
  };
  const { check } = sender;
  return {
    send: (message, signal) => {
      if (closing) return Promise.resolve({ kind: 'aborted' });
      return counted(carrying(tokens, signal, () => sender.send(message, signal)));
    },
    ...(sender.describe === undefined ? {} : { describe: (message) => sender.describe!(message) }),
    check: check === null ? null : (signal) => carrying(tokens, signal, () => check(signal)),
    close: async () => {
      closing = true;
      await Promise.all(underWay);
      await sender.close();
    },
  };
}

/** One attempt with a token. Never rejects. */
export async function carrying(
  tokens: AccessTokens,
  signal: AbortSignal,
  attempt: () => Promise<SendOutcome>,
): Promise<SendOutcome> {
  const startedAt = performance.now();
  try {
    const failure = await tokens.ready(signal);
    if (failure !== null) return withoutToken(failure, performance.now() - startedAt);
    const carried = tokens.authorization;
    const outcome = await attempt();
    if (!('status' in outcome) || outcome.status === null) return outcome;
    if (outcome.status !== 401) tokens.prove(carried);
    else {
      const renewed = await tokens.renew(carried, signal);
      if (renewed === true) return await attempt();
      if (renewed !== false) return withoutToken(renewed, performance.now() - startedAt);
    }
    return outcome;
  } catch {
    return { kind: 'aborted' };
  }
}

function withoutToken({ message, status, retryAfterMs }: TokenFailure, durationMs: number): SendOutcome {
  return {
    kind: 'unreachable',
    errorClass: noTokenClass,
    message,
    // Its own status would be read as the receiver's.
    status: status === 429 || status === 503 ? status : null,
    retryAfterMs,
    excerpt: null,
    durationMs: Math.round(durationMs),
  };
}
