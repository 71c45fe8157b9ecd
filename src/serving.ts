/** What a process answers over HTTP: metrics and health, the API, or both. */
import type { Log } from '../activities/index.ts';
import type { ApiConfig } from './core/api.ts';
import type { DashboardConfig } from './core/dashboard.ts';
import { formatListen, type ListenAddress } from './core/listen.ts';
import { redactorFor } from './core/redact.ts';
import type { Environment } from './core/secrets.ts';
import type { KeyProvider } from './encryption/keys.ts';
import type { HttpServers, RouteGroup } from './http/server.ts';
import { OutboxError } from './errors.ts';
import { ApiTally } from './metrics/tally.ts';
import type { Observed, Observing } from './observing.ts';
import type { Pool } from './storage/connect.ts';
import type { Temporal } from './temporal/connect.ts';
import { openTelemetry } from './tracing/openTelemetry.ts';

export interface ServingOptions {
  /** The API's own pool; opened where it is served, and closed with it. */
  readonly openApiPool: () => Pool;
  readonly log: Log;
  readonly env: Environment;
  /** Null: the API is not served here. */
  readonly api: ApiConfig | null;
  /** Null: no metrics, no health. */
  readonly metricsListen: ListenAddress | null;
  readonly observed: Omit<Observed, 'redact' | 'apiTally'>;
  /** Absent: no dashboard here. */
  readonly dashboard?: DashboardServed | undefined;
}

export interface DashboardServed {
  readonly config: DashboardConfig;
  /** The dashboard's own; opened where it is served, and closed with it. */
  readonly openPool: () => Pool;
  /** Connects when a command is first sent. */
  readonly temporal: () => Promise<Temporal>;
  readonly namespace: string;
  /** Absent: `encryption` of the configuration. */
  readonly encryption?: KeyProvider | undefined;
}

/**
 * Loads nothing of what is not served.
 * @throws OutboxError OUTBOX_LISTEN_FAILED, OUTBOX_API_UNPROTECTED, OUTBOX_DASHBOARD_UNPROTECTED, OUTBOX_SECRET_MISSING, with nothing left listening
 */
export async function serveHttp(options: ServingOptions): Promise<HttpServers> {
  const { log, env, api, metricsListen } = options;
  const groups: RouteGroup[] = [];
  const apiTally = api === null ? undefined : new ApiTally();
  let observing: Observing | undefined;
  let apiPool: Pool | undefined;
  let dashboardPool: Pool | undefined;
  try {
    if (metricsListen !== null || openTelemetry('metrics') !== null) {
      const { observe } = await import('./observing.ts');
      observing = observe({ ...options.observed, apiTally, redact: redactorFor(env) }, metricsListen);
      if (observing.group !== null) groups.push(observing.group);
    }
    if (api !== null) {
      const { apiGroup } = await import('./http/api.ts');
      // The one of the metrics looks at more; both at one address would be two routes of one name.
      const health = metricsListen === null || formatListen(metricsListen) !== formatListen(api.listen);
      apiPool = options.openApiPool();
      groups.push(apiGroup({ pool: apiPool, config: api, env, log, health, telemetry: apiTally }));
    }
    if (options.dashboard !== undefined) {
      refuseSameAddress(api?.listen, options.dashboard.config.listen);
      const { openDashboard } = await import('./dashboard/open.ts');
      dashboardPool = options.dashboard.openPool();
      groups.push(await openDashboard({ ...options.dashboard, pool: dashboardPool, log, env }));
    }
    if (groups.length === 0) return { endpoints: {}, close: async () => observing?.close() };
    const { startHttp } = await import('./http/server.ts');
    const http = await startHttp(groups);
    return {
      endpoints: http.endpoints,
      close: () =>
        http.close().finally(() => Promise.all([observing?.close(), apiPool?.end(), dashboardPool?.end()])),
    };
  } catch (error) {
    await observing?.close();
    await apiPool?.end();
    await dashboardPool?.end();
    throw error;
  }
}

/** Both have a /v1 of their own. */
function refuseSameAddress(api: ListenAddress | undefined, dashboard: ListenAddress): void {
  if (api === undefined || dashboard.port === 0 || formatListen(api) !== formatListen(dashboard)) return;
  throw new OutboxError(
    'OUTBOX_LISTEN_FAILED',
    `cannot listen at ${formatListen(dashboard)}: the HTTP API and the dashboard are both to be served there`,
    { hint: 'Give dashboard.listen a port of its own.' },
  );
}
