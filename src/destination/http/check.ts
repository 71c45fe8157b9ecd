/** `circuit.probeUrl`: one GET, answered by 2xx when the destination is well. */
import { Client } from 'undici';
import type { SendOutcome } from '../../core/outcome.ts';
import { showUrl } from '../../core/shownUrl.ts';
import { guardedConnector } from './connector.ts';
import { answeredOutcome, failedOutcome, timeoutOutcome } from './outcomes.ts';
import type { HttpTarget } from './target.ts';
import { requestTarget } from './url.ts';

/** By a connection of its own: those for messages may be what is broken. Carries the destination's own headers, no event. */
export async function checkTarget(target: HttpTarget, url: URL, signal: AbortSignal): Promise<SendOutcome> {
  const { timeoutMs } = target.config;
  const shown = showUrl(url, target.config.circuit.probeUrl ?? '');
  const probed = {
    ...target,
    label: `GET ${shown.withoutQuery}`,
    secrets: [...target.secrets, ...shown.secrets].sort((one, other) => other.length - one.length),
  };
  const client = new Client(url.origin, {
    connect: guardedConnector(target.connect),
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  const startedAt = performance.now();
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const { statusCode, headers, body } = await client.request({
      method: 'GET',
      path: requestTarget(target.connect, url),
      headers: headersOf(target),
      signal: AbortSignal.any([deadline, signal]),
    });
    // Whatever it says beyond its status is of no interest.
    body.on('error', () => undefined).destroy();
    const durationMs = performance.now() - startedAt;
    const rawHeaders = ['retry-after', 'location'].flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [Buffer.from(name), Buffer.from(value, 'latin1')] : [];
    });
    return answeredOutcome(probed, {
      status: statusCode,
      rawHeaders,
      body: Buffer.alloc(0),
      bodyComplete: true,
      durationMs,
    });
  } catch (error) {
    const durationMs = performance.now() - startedAt;
    if (signal.aborted) return { kind: 'aborted' };
    return deadline.aborted
      ? timeoutOutcome(probed, true, durationMs)
      : failedOutcome(probed, error, durationMs);
  } finally {
    await client.destroy();
  }
}

function headersOf({ headers, tokens }: HttpTarget): string[] {
  return tokens === null ? [...headers] : [...headers, 'authorization', tokens.authorization];
}
