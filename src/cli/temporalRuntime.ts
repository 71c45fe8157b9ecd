import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { Log } from '../../activities/index.ts';

/**
 * Sends what Temporal's SDK has to say at WARN and above into our log; its own goes to stderr, at INFO. It is told to leave
 * signals alone, because we stop the relay before the worker. Has to come before the first connection.
 */
export function routeTemporalLog(log: Log): void {
  const logger = new DefaultLogger('WARN', ({ level, message, meta }) => {
    const { error, ...fields } = (meta ?? {}) as { error?: Error | string } & Record<string, unknown>;
    const shown = {
      temporal: true,
      ...plainFields(fields),
      ...(error === undefined ? {} : { error: String(error) }),
    };
    if (level === 'ERROR') log.error(shown, message);
    else log.warn(shown, message);
  });
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: { core: 'WARN', other: 'ERROR' }, forward: {} } },
    shutdownSignals: [],
  });
}

/** The SDK's fields hold bigints and whole objects at times; a log line needs neither. */
function plainFields(fields: Record<string, unknown>): Record<string, unknown> {
  const isPlain = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => isPlain(value)));
}
