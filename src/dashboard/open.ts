import type { Log } from '../../activities/index.ts';
import type { DashboardConfig } from '../core/dashboard.ts';
import type { Environment } from '../core/secrets.ts';
import { formatListen } from '../core/listen.ts';
import { systemUser } from '../core/systemUser.ts';
import { workflowLink } from '../core/temporalUi.ts';
import { OutboxError } from '../errors.ts';
import { ConfiguredKeys } from '../encryption/configured.ts';
import type { KeyProvider } from '../encryption/keys.ts';
import type { RouteGroup } from '../http/server.ts';
import { Latest } from '../metrics/latest.ts';
import { readSettings } from '../storage/configuration.ts';
import type { Pool } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { dashboardGroup } from './group.ts';
import { jwtVerifier } from './jwt.ts';
import { oidcWith } from './oidc.ts';
import { operatingWith } from './operating.ts';
import { readOverview } from './views/overview.ts';

export interface OpenDashboard {
  readonly config: DashboardConfig;
  readonly pool: Pool;
  readonly temporal: () => Promise<Temporal>;
  readonly namespace: string;
  readonly log: Log;
  readonly env: Environment;
  /** Absent: `encryption` of the configuration. */
  readonly encryption?: KeyProvider | undefined;
}

/** @throws OutboxError OUTBOX_DASHBOARD_UNPROTECTED, OUTBOX_CLIENT_MISSING */
export async function openDashboard(options: OpenDashboard): Promise<RouteGroup> {
  const { config, pool, temporal, namespace, log, env } = options;
  const { name } = await readSettings(pool);
  const ui = config.temporalUi ?? env['TEMPORAL_UI_URL'] ?? '';
  return dashboardGroup({
    ...{ config, pool, name, log },
    keys: options.encryption ?? (await new ConfiguredKeys(pool, env).load()),
    operating: operatingWith(pool, temporal),
    overview: latestOverview(pool),
    workflowUrl: (workflowId) => (/^https?:\/\//.test(ui) ? workflowLink(ui, namespace, workflowId) : null),
    localName: systemUser(),
    jwt: config.signIn?.jwt == null ? null : await jwtVerifier(config.signIn.jwt),
    oidc: config.signIn?.oidc == null ? null : await oidcWith(config.signIn.oidc, callbackOf(config), env),
  });
}

/** What is registered at the provider as the redirect URI. */
function callbackOf({ url, listen }: DashboardConfig): string {
  return `${url ?? `http://${formatListen(listen)}`}/v1/session/oidc/callback`;
}

/** Counting looks at every row, so it rests in proportion to what it took; what is read meanwhile says from when it is. */
function latestOverview(pool: Pool) {
  const latest = new Latest(() => readOverview(pool), {
    freshMs: 1_000,
    restFactor: 10,
    patienceMs: 8_000,
    staleMs: 60_000,
  });
  return async () => {
    const overview = await latest.get();
    if (overview !== undefined) return overview;
    const { error } = latest;
    throw error instanceof Error
      ? error
      : new OutboxError('OUTBOX_POSTGRES_UNREACHABLE', 'the database did not answer in time', {
          hint: 'Check OUTBOX_DATABASE_URL, and that the server is up.',
        });
  };
}
